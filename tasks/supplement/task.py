"""Stage 2 of the method: queries short of hard negatives -> generated queries -> new candidates; who is still short."""

from collections.abc import Callable

import polars as pl

from storage import DatasetRef, folder, load, open_journal, read, scan
from tasks.engine.job import Job
from tasks.models import texts
from tasks.models.chat import budget as budgets
from tasks.models.chat import client as clients
from tasks.models.chat.config import ChatConfig
from tasks.supplement import back_forward, candidates, short
from tasks.supplement.config import GenerateConfig, SourceConfig

_DIGEST = 12  # digits of a digest that a person sees


def generate_from_positives(
    job: Job,
    *,
    language: str,
    hard_negatives: DatasetRef,
    queries: DatasetRef,
    qrels: DatasetRef,
    corpus: DatasetRef,
    text: str,
    num_negatives: int,
    chat: ChatConfig,
    source: SourceConfig,
    identity: str,
    config: GenerateConfig,
    adapter: DatasetRef | None = None,
) -> None:
    """Have new queries written for those that are short of negatives; what was ever answered is not asked again.

    `chat` leaves the model out: `source` says where it is, and `identity`, which the fingerprint knows, what it is.
    """
    lacking = short.find_short(
        scan(hard_negatives).select("query_id", "decision").collect(),
        read(queries),
        read(qrels),
        num_negatives=num_negatives,
    )
    wanted = short.with_passages(lacking, _passages(corpus, lacking, text))
    attempts = back_forward.count_attempts(wanted, negatives_each=config.negatives_each, most=config.max_generated)
    who = identity if adapter is None else f"{identity}+{load(adapter).content}"
    with (
        open_journal(job.out.ref.root, f"replies-{job.out.ref.partition}") as journal,
        job.progress(2 * attempts, "answers") as advance,
    ):
        model = clients.remembering_chat(
            chat.model_copy(update={"model": source.model}),
            journal,
            identity=who,
            device=job.device,
            batch_tokens=job.batch_tokens,
            adapter=None if adapter is None else folder(adapter) / "adapter",
        )
        job.log.info(
            "%s: %d queries are short of %d negatives: %d questions if every answer is good, %d at most, less those "
            "that were answered before; budget: %s",
            language,
            len(wanted),
            num_negatives,
            2 * attempts,
            2 * config.max_generated * sum(bool(one.positives) for one in wanted),
            budgets.Budget(max_calls=chat.max_calls, max_tokens=chat.max_tokens),
        )
        job.out.write(
            back_forward.generate_queries(
                wanted,
                model,
                language=language,
                name=_name(chat, identity, adapter),
                progress=_counted(advance),
                **config.model_dump(),
            )
        )


def promote_queries(job: Job, *, generated: DatasetRef) -> None:
    """Make queries of the good generated ones, so that retrieval takes them like any other."""
    job.out.write(candidates.generated_queries(read(generated)))


def collect_candidates(
    job: Job, *, fused: DatasetRef, asked: DatasetRef, hard_negatives: DatasetRef, qrels: DatasetRef
) -> None:
    """Give each query what its generated queries found and its own retrieval did not."""
    job.out.write(candidates.collect_candidates(read(fused), read(asked), read(hard_negatives), read(qrels)))


def count_shortfalls(
    job: Job,
    *,
    language: str,
    before: DatasetRef,
    after: DatasetRef,
    generated: DatasetRef,
    queries: DatasetRef,
    num_negatives: int,
) -> None:
    """Count which queries were short of negatives, what generated queries brought them, and which are still short."""
    train = scan(queries).filter(pl.col("split") == "train").select("query_id").collect()["query_id"]
    rows = short.shortfalls(read(before), read(after), read(generated), train, num_negatives=num_negatives)
    job.log.info("%s: %s", language, short.summarise(rows, num_negatives=num_negatives))
    job.out.write(rows)


def _passages(corpus: DatasetRef, lacking: pl.DataFrame, text: str) -> dict[str, str]:
    wanted = lacking.lazy().select(doc_id="positives").explode("doc_id").unique()
    rows = scan(corpus).join(wanted, on="doc_id", how="semi").select("doc_id", text=texts.document_text(text)).collect()
    return dict(rows.iter_rows())


def _name(chat: ChatConfig, identity: str, adapter: DatasetRef | None) -> str:
    """Name the generator by what it is, not by where it lies."""
    name = identity if chat.client == "endpoint" else f"local:{identity[:_DIGEST]}"
    return name if adapter is None else f"{name}+{load(adapter).content[:_DIGEST]}"


def _counted(advance: Callable[[int], None]) -> Callable[[int], None]:
    """Turn `advance`, which takes all that is done, into a function that takes what is newly done."""
    done = 0

    def add(newly: int) -> None:
        nonlocal done
        done += newly
        advance(done)

    return add
