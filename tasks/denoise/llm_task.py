"""Third stage, the LLM judge: pairs -> verdicts; verdicts -> raw scores, and grades in the table of scores."""

import polars as pl

from storage import DatasetRef, open_journal, read, scan
from tasks.denoise import costs, pairs
from tasks.denoise import verdicts as marks
from tasks.denoise.config import AskedLlm, Vote
from tasks.engine.job import Job
from tasks.models.chat import Reply, Request
from tasks.models.chat.client import remembering_chat

SHARD_QUERIES = 128  # whose questions are held in memory at a time

_FIRST_SEED = 0  # of the first sample; the others count on from it


def judge_pairs(
    job: Job,
    *,
    candidates: DatasetRef,
    queries: DatasetRef,
    qrels: DatasetRef,
    corpus: DatasetRef,
    text: str,
    llm: AskedLlm,
    identity: str,
    num_samples: int,
    max_document_characters: int,
    scores: DatasetRef | None = None,
    band: tuple[float, float] | None = None,
) -> None:
    """Ask an LLM about the train queries' candidates and judged documents; every reply is kept as it arrives.

    With `scores` and `band`, ask only about unjudged candidates whose probability lies in the band. What the store's
    journal of replies holds, from whichever run, is not asked again. `identity` is the model's `chat_identity`.
    """
    asked = pairs.train_queries(scan(queries))
    if scores is None or band is None:
        chosen = pairs.pairs_to_score(read(candidates), read(qrels), asked["query_id"])
    else:
        chosen = marks.uncertain_pairs(read(candidates), read(scores), read(qrels), band=band)
    table = marks.with_references(chosen, read(qrels))
    shards = [asked.slice(start, SHARD_QUERIES) for start in range(0, len(asked), SHARD_QUERIES)]
    missing = job.out.missing(len(shards))

    def shard_rows(shard: int) -> pl.DataFrame:
        rows = table.join(shards[shard].select("query_id"), on="query_id", how="semi")
        documents = pairs.documents_of(scan(corpus), marks.named_documents(rows), text=text)
        return marks.with_texts(rows, shards[shard], documents)

    def questions(rows: pl.DataFrame) -> list[Request]:
        return marks.questions(rows, num_samples=num_samples, seed=_FIRST_SEED, max_characters=max_document_characters)

    with open_journal(job.out.ref.root, f"replies-{job.out.ref.partition}") as journal:
        chat = remembering_chat(llm, journal, identity=identity, device=job.device, batch_tokens=job.batch_tokens)
        every = (request for shard in missing for request in questions(shard_rows(shard)))
        cost = costs.estimate_cost(every, chat)
        _announce(job, cost, llm, num_samples)
        num_replies = num_unparsed = 0
        with job.bar(cost.questions, "verdicts") as advance:
            for shard in missing:
                rows = shard_rows(shard)
                replies: dict[int, Reply] = {}
                for position, reply in chat.complete(questions(rows)):
                    replies[position] = reply
                    advance(1)
                num_replies += len(replies)
                ordered = [replies[position] for position in range(len(replies))]
                judged = marks.verdict_table(rows, ordered, num_samples=num_samples)
                num_unparsed += len(judged.filter(pl.col("status") == marks.UNPARSED))
                job.out.write(judged, shard=shard)
    if num_unparsed:
        job.log.warning("%s of %s replies are not what was asked for; see the column reply", num_unparsed, num_replies)


def score_verdicts(job: Job, *, verdicts: DatasetRef, vote: Vote) -> None:
    """Turn marks into raw scores, which can be calibrated as any judge's; a pair without a majority has none."""
    job.out.write(marks.raw_scores(marks.count_votes(read(verdicts), vote=vote)))


def apply_verdicts(job: Job, *, scores: DatasetRef, verdicts: DatasetRef, vote: Vote) -> None:
    """Let the LLM's grades take the place of the others."""
    job.out.write(marks.put_votes(read(scores), marks.count_votes(read(verdicts), vote=vote)))


def _announce(job: Job, cost: costs.Cost, llm: AskedLlm, num_samples: int) -> None:
    """Say what is asked and what it may cost, before it starts."""
    limits = {"max_calls": llm.max_calls, "max_tokens": llm.max_tokens}
    stated = costs.state_cost(
        cost, model=llm.model, num_samples=num_samples, max_new_tokens=llm.max_new_tokens, **limits
    )
    job.log.info("%s", stated)
    if short := costs.shortfall(cost, max_new_tokens=llm.max_new_tokens, **limits):
        job.log.warning("%s", short)
