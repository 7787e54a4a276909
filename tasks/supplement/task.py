"""Stage 2 of the method: queries short of hard negatives -> generated queries -> new candidates; who is still short."""

import polars as pl

from storage import DatasetRef, folder, load, open_journal, read, scan
from tasks.engine.job import Job
from tasks.models import texts
from tasks.models.chat import budget as budgets
from tasks.models.chat import client as clients
from tasks.models.chat.config import ChatConfig
from tasks.supplement import back_forward, short
from tasks.supplement.languages import fallback_note

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
    identity: str,
    max_generated: int,
    negatives_each: int,
    seed: int,
    adapter: DatasetRef | None = None,
) -> None:
    """Have new queries written for those that are short of negatives; what was ever answered is not asked again.

    The fingerprint knows what the generator is, `identity`, and not where it lies.
    """
    ledger = scan(hard_negatives).select("query_id", "decision").collect()
    lacking = short.find_short(ledger, read(queries), read(qrels), num_negatives=num_negatives)
    shorts = short.with_passages(lacking, _passages(corpus, lacking, text))
    if note := fallback_note(language):
        job.log.warning("%s", note)
    attempts = back_forward.count_attempts(shorts, negatives_each=negatives_each, most=max_generated)
    job.log.info(
        "%s: %d queries are short of %d negatives: %d questions if every answer is good, %d at most, less those "
        "that were answered before; budget: %s",
        language,
        len(shorts),
        num_negatives,
        2 * attempts,
        2 * max_generated * sum(bool(one.positives) for one in shorts),
        budgets.Budget(max_calls=chat.max_calls, max_tokens=chat.max_tokens),
    )
    with (
        open_journal(job.out.ref.root, f"replies-{job.out.ref.partition}") as journal,
        job.bar(2 * attempts, "answers") as advance,
    ):
        model = clients.remembering_chat(
            chat,
            journal,
            identity=identity if adapter is None else f"{identity}+{load(adapter).content}",
            device=job.device,
            batch_tokens=job.batch_tokens,
            adapter=None if adapter is None else folder(adapter) / "adapter",
        )
        generated = back_forward.generate_queries(
            shorts,
            model,
            language=language,
            name=_name(chat, identity, adapter),
            max_generated=max_generated,
            negatives_each=negatives_each,
            seed=seed,
            progress=advance,
        )
    job.out.write(generated)


def select_generated_queries(job: Job, *, generated: DatasetRef) -> None:
    """Make queries of the good generated ones, so that retrieval takes them like any other."""
    job.out.write(short.generated_queries(read(generated)))


def collect_candidates(
    job: Job,
    *,
    fused: DatasetRef,
    queries: DatasetRef,
    hard_negatives: DatasetRef,
    qrels: DatasetRef,
    ignore_own_document: bool = False,
) -> None:
    """Give each query what its generated queries found and its own retrieval did not."""
    found = short.collect_candidates(read(fused), read(queries), read(hard_negatives), read(qrels))
    if ignore_own_document:  # the generated query's id is not the given one's
        found = found.filter(pl.col("query_id") != pl.col("doc_id"))
    job.out.write(found)


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
    train = scan(queries).select("query_id").collect()["query_id"]
    rows = short.shortfalls(read(before), read(after), read(generated), train, num_negatives=num_negatives)
    job.log.info("%s: %s", language, short.summarise(rows, num_negatives=num_negatives))
    job.out.write(rows)


def _passages(corpus: DatasetRef, lacking: pl.DataFrame, text: str) -> dict[str, str]:
    positives = lacking.lazy().select(doc_id="positives").explode("doc_id").unique()
    documents = scan(corpus).join(positives, on="doc_id", how="semi")
    return dict(documents.select("doc_id", text=texts.document_text(text)).collect().iter_rows())


def _name(chat: ChatConfig, identity: str, adapter: DatasetRef | None) -> str:
    """Name the generator by what it is, not by where it lies."""
    name = identity if chat.client == "endpoint" else f"local:{identity[:_DIGEST]}"
    return name if adapter is None else f"{name}+{load(adapter).content[:_DIGEST]}"
