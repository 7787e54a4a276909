"""Judgements -> the qrels dataset: every pair once, and only of queries and documents that are there; its counts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import polars as pl

from tasks.ingest.rows import BadRow, Judgement, bad_row

COLUMNS = {"query_id": pl.String, "doc_id": pl.String, "relevance": pl.Int32}

COUNTED = (
    "the {num_queries:,} {split} queries have {num_judgements:,} judgements, {num_relevant:,} of them relevant; "
    "{num_unjudged:,} queries have none, {num_without_relevant:,} no relevant document"
)
"""What `count_by_split` found, for the log."""


def unique_judgements(rows: Iterable[Judgement | BadRow]) -> Iterator[Judgement | BadRow]:
    """Turn judgements of a pair that was judged before into bad rows."""
    firsts: dict[tuple[str, str], Judgement] = {}
    for row in rows:
        if isinstance(row, BadRow) or (row.query_id, row.doc_id) not in firsts:
            yield row
            if isinstance(row, Judgement):
                firsts[row.query_id, row.doc_id] = row
            continue
        first = firsts[row.query_id, row.doc_id]
        same = first.relevance == row.relevance
        got = f"'{row.query_id}', '{row.doc_id}' again, first in {first.source}, line {first.line}"
        reason = "duplicate judgement" if same else "contradictory judgement"
        yield bad_row(row.source, row.line, reason, got=got, field="doc_id", content=_content(row))


def unknown_documents(judgements: Iterable[Judgement | BadRow], corpus: pl.LazyFrame) -> set[str]:
    """Return the judged document ids that the corpus does not have.

    Args:
        judgements: the judgements; they and not the corpus decide how much memory is needed.
        corpus: doc_id; streamed.
    """
    judged = {row.doc_id for row in judgements if isinstance(row, Judgement)}
    ids = pl.LazyFrame({"doc_id": sorted(judged)}, schema={"doc_id": pl.String})
    present = corpus.select("doc_id").join(ids, on="doc_id", how="semi").collect(engine="streaming")
    return judged.difference(present["doc_id"])


def known_judgements(
    rows: Iterable[Judgement | BadRow], *, splits: Mapping[str, str], unknown_doc_ids: set[str], relevant_from: int = 1
) -> Iterator[Judgement | BadRow]:
    """Turn judgements of unknown queries or documents into bad rows.

    Of a dev query, one of an unknown document stays besides: what is relevant and missing counts where it is measured.

    Args:
        rows: the judgements.
        splits: each known query's split; validation counts as train. A judgement whose file names a split must be
            of a query of that split.
        unknown_doc_ids: judged ids that the corpus does not have.
        relevant_from: a lower relevance of a train query becomes 0. Others keep their grades, which nDCG uses.
    """
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        split = splits.get(row.query_id)
        if split is None or row.split not in ("", "train" if split == "validation" else split):
            got = _shown(row.query_id) + (f", a query of {split}" if split else "")
            yield bad_row(row.source, row.line, "unknown query", got=got, field="query_id", content=_content(row))
            continue
        if unknown := row.doc_id in unknown_doc_ids:
            got = _shown(row.doc_id)
            yield bad_row(row.source, row.line, "unknown document", got=got, field="doc_id", content=_content(row))
        if not unknown or split == "dev":
            yield row._replace(relevance=0) if split == "train" and row.relevance < relevant_from else row


def _shown(name: str) -> str:
    number = name.removesuffix(".0")
    return f"'{name}'" + (f", which is not '{number}'" if number != name and number.isdecimal() else "")


def qrels_frame(rows: Sequence[Judgement]) -> pl.DataFrame:
    """Build the qrels dataset: query_id, doc_id, relevance (0 = judged not relevant), sorted by both ids."""
    return pl.DataFrame(
        {
            "query_id": [row.query_id for row in rows],
            "doc_id": [row.doc_id for row in rows],
            "relevance": [row.relevance for row in rows],
        },
        schema=COLUMNS,
    ).sort("query_id", "doc_id")


def check_measurable(qrels: pl.DataFrame, where: str) -> None:
    """See that dev has judgements: else nothing can be measured, which would be found after the training.

    Raises:
        ValueError: it has none.
    """
    if qrels.is_empty():
        raise ValueError(
            f"{where}: expected judgements of the dev queries, got none that can be used. Fill the files, "
            "or run with --until train."
        )


def count_by_split(queries: pl.DataFrame, qrels: pl.DataFrame) -> pl.DataFrame:
    """Count what each split holds, to compare an ingest with a published table; no corpus is needed.

    Args:
        queries: query_id, split.
        qrels: query_id, doc_id, relevance; judgements of other queries are not counted.

    Returns:
        split, num_queries, num_judgements, num_relevant, num_not_relevant, num_unjudged (queries without any
        judgement) and num_without_relevant (queries without a relevant document, unjudged ones included);
        sorted by split.
    """
    per_query = qrels.group_by("query_id").agg(num_judgements=pl.len(), num_relevant=(pl.col("relevance") > 0).sum())
    counts = pl.col("num_judgements", "num_relevant").fill_null(0).cast(pl.Int64)
    return (
        queries.select("query_id", "split")
        .join(per_query, on="query_id", how="left")
        .with_columns(counts)
        .group_by("split")
        .agg(
            num_queries=pl.len().cast(pl.Int64),
            num_judgements=pl.col("num_judgements").sum(),
            num_relevant=pl.col("num_relevant").sum(),
            num_not_relevant=(pl.col("num_judgements") - pl.col("num_relevant")).sum(),
            num_unjudged=(pl.col("num_judgements") == 0).sum().cast(pl.Int64),
            num_without_relevant=(pl.col("num_relevant") == 0).sum().cast(pl.Int64),
        )
        .sort("split")
    )


def _content(row: Judgement) -> str:
    return f"{row.query_id}\t{row.doc_id}\t{row.relevance}"
