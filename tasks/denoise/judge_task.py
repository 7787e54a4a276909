"""Third stage, the LLM judge: pairs -> verdicts; verdicts -> raw scores, and grades in the table of scores."""

import polars as pl

from storage import DatasetRef, open_journal, read, scan
from tasks.denoise import inputs, pairs, statement, verdicts, votes
from tasks.denoise.config import AskConfig, RubricConfig, VoteConfig
from tasks.engine.job import Job
from tasks.models import chat
from tasks.models.chat import client as chat_client


def judge_pairs(
    job: Job,
    *,
    fused: DatasetRef,
    queries: DatasetRef,
    qrels: DatasetRef,
    corpus: DatasetRef,
    text: str,
    llm: AskConfig,
    identity: str,
    config: RubricConfig,
    scores: DatasetRef | None = None,
    band: tuple[float, float] | None = None,
) -> None:
    """Ask an LLM about the train queries' candidates and judged documents; every reply is kept as it arrives.

    With `scores` and `band`, ask only about unjudged candidates whose probability lies in the band. What the store's
    journal of replies holds, from whichever run, is not asked again. `identity` is the model's `chat_identity`.
    """
    wanted = inputs.train_queries(scan(queries))
    if scores is None or band is None:
        chosen = pairs.pairs_to_score(read(fused), read(qrels), wanted["query_id"])
    else:
        chosen = verdicts.uncertain_pairs(read(fused), read(scores), read(qrels), band=band)
    table = verdicts.with_references(chosen, read(qrels))
    own = [wanted.slice(start, config.shard_queries) for start in range(0, len(wanted), config.shard_queries)]
    missing = job.out.missing(len(own))

    def shard_rows(shard: int) -> pl.DataFrame:
        rows = table.join(own[shard].select("query_id"), on="query_id", how="semi")
        documents = inputs.documents(scan(corpus), verdicts.documents_of(rows), text=text)
        return verdicts.with_texts(rows, own[shard], documents)

    with open_journal(job.out.ref.root, f"replies-{job.out.ref.partition}") as journal:
        asker = chat_client.remembering_chat(
            llm, journal, identity=identity, device=job.device, batch_tokens=job.batch_tokens
        )
        every = (request for shard in missing for request in _questions(shard_rows(shard), config))
        cost = statement.estimate_cost(every, asker)
        _announce(job, cost, llm, config)
        done = num_unparsed = 0
        with job.progress(cost.questions, "verdicts") as advance:
            for shard in missing:
                rows = shard_rows(shard)
                replies: dict[int, chat.Reply] = {}
                for position, reply in asker.complete(_questions(rows, config)):
                    replies[position] = reply
                    advance(done + len(replies))
                done += len(replies)
                ordered = [replies[position] for position in range(len(replies))]
                judged = verdicts.verdict_table(rows, ordered, num_samples=config.num_samples)
                num_unparsed += len(judged.filter(pl.col("status") == verdicts.UNPARSED))
                job.out.write(judged, shard=shard)
    if num_unparsed:
        job.log.warning("%s of %s replies are not what was asked for; see the column reply", num_unparsed, done)


def score_verdicts(job: Job, *, verdicts: DatasetRef, config: VoteConfig) -> None:
    """Turn marks into raw scores, which can be calibrated as any judge's; a pair without a majority has none."""
    counted = votes.count_votes(read(verdicts), vote=config.vote)
    job.out.write(votes.raw_scores(counted))


def apply_verdicts(job: Job, *, scores: DatasetRef, verdicts: DatasetRef, config: VoteConfig) -> None:
    """Let the LLM's grades take the place of the others."""
    job.out.write(votes.put_votes(read(scores), votes.count_votes(read(verdicts), vote=config.vote)))


def _questions(rows: pl.DataFrame, config: RubricConfig) -> "list[chat.Request]":
    return verdicts.questions(
        rows,
        num_samples=config.num_samples,
        seed=config.seed,
        max_characters=config.max_document_characters,
    )


def _announce(job: Job, cost: "statement.Cost", llm: AskConfig, config: RubricConfig) -> None:
    """Say what is asked and what it may cost, before it starts."""
    limits = {"max_calls": llm.max_calls, "max_tokens": llm.max_tokens}
    stated = statement.state_cost(
        cost, model=llm.model, num_samples=config.num_samples, max_new_tokens=llm.max_new_tokens, **limits
    )
    job.log.info("%s", stated)
    short = statement.shortfall(cost, max_new_tokens=llm.max_new_tokens, **limits)
    if short:
        job.log.warning("%s", short)
