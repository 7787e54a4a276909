"""Pairs of a query and a document: which are judged, which the fitted judge learns from, and their texts."""

import hashlib

import polars as pl

from tasks.models.texts import document_text

PAIR = ("query_id", "doc_id")

_MAX_QUERIES = 400  # of a language to learn from: a handful of weights needs no more
_PRESUMED_PER_QUERY = 2


def train_queries(queries: pl.LazyFrame) -> pl.DataFrame:
    """Return the queries of the train split: query_id, text, sorted by query_id."""
    return queries.filter(pl.col("split") == "train").select("query_id", "text").sort("query_id").collect()


def documents_of(corpus: pl.LazyFrame, pairs: pl.DataFrame, *, text: str) -> pl.DataFrame:
    """Read the texts of the documents in `pairs` alone.

    Args:
        corpus: doc_id, title, text.
        pairs: any rows with a doc_id.
        text: as `document_text` takes it.

    Returns:
        doc_id, text, each document once, in no particular order.
    """
    needed = pairs.select("doc_id").unique().lazy()
    return corpus.join(needed, on="doc_id", how="semi").select("doc_id", text=document_text(text)).collect()


def pairs_to_score(candidates: pl.DataFrame, qrels: pl.DataFrame, query_ids: pl.Series) -> pl.DataFrame:
    """Return every candidate and every judged document of the queries: query_id, doc_id, each once, sorted."""
    both = pl.concat([candidates.select(PAIR), qrels.select(PAIR)])
    return both.filter(pl.col("query_id").is_in(query_ids.implode())).unique().sort(PAIR)


def label_pairs(
    pairs: pl.DataFrame, candidates: pl.DataFrame, qrels: pl.DataFrame, *, presumed_ranks: tuple[int, int]
) -> pl.DataFrame:
    """Choose the pairs of one language that a judge learns from.

    Args:
        pairs: query_id, doc_id and others: whatever has been scored or measured.
        candidates: query_id, doc_id, rank (fused, from 1).
        qrels: query_id, doc_id, relevance.
        presumed_ranks: first and last rank of the unjudged candidates that are taken for negatives; of each query a
            few are drawn, each by its own ids alone.

    Returns:
        Some rows of `pairs` with label (1 relevant, 0 not; int32): of at most 400 queries that have a relevant
        document, drawn by their ids.
    """
    labelled = pairs.join(qrels.select(*PAIR, label=(pl.col("relevance") > 0).cast(pl.Int32)), on=PAIR)
    queries = labelled.filter(pl.col("label") == 1).select("query_id").unique()
    queries = queries.sort(pl.Series([draw_key(*row) for row in queries.iter_rows()], dtype=pl.String)).head(
        _MAX_QUERIES
    )
    middling = candidates.filter(pl.col("rank").is_between(*presumed_ranks)).select(PAIR)
    unjudged = pairs.join(middling, on=PAIR, how="semi").join(qrels, on=PAIR, how="anti")
    unjudged = unjudged.join(queries, on="query_id", how="semi")
    keys = pl.Series([draw_key(*row) for row in unjudged.select(PAIR).iter_rows()], dtype=pl.String)
    presumed = unjudged.sort(keys).group_by("query_id", maintain_order=True).head(_PRESUMED_PER_QUERY)
    presumed = presumed.select(*pairs.columns, label=pl.lit(0, dtype=pl.Int32))
    return pl.concat([labelled.join(queries, on="query_id", how="semi"), presumed]).sort(PAIR)


def with_texts(pairs: pl.DataFrame, queries: pl.DataFrame, documents: pl.DataFrame) -> pl.DataFrame:
    """Add the columns query and document to pairs.

    Args:
        pairs: query_id, doc_id and others.
        queries: query_id, text.
        documents: doc_id, text.

    Raises:
        ValueError: a query or document has no text.
    """
    table = pairs.join(queries.select("query_id", query="text"), on="query_id", how="left", maintain_order="left").join(
        documents.select("doc_id", document="text"), on="doc_id", how="left", maintain_order="left"
    )
    lost = table.filter(pl.col("query").is_null() | pl.col("document").is_null())
    if len(lost):
        raise ValueError(
            f"denoise: expected a text for every query and document, got none for {len(lost)} pairs such as "
            f"{lost.select(PAIR).row(0)}. Make candidates and judgements from the same corpus and queries."
        )
    return table


def draw_key(*ids: str) -> str:
    """What rows are drawn by, the smallest first: a hash of their ids, so that other rows never move it."""
    return hashlib.sha256("\0".join(["0", *ids]).encode()).hexdigest()
