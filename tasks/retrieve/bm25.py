"""Rank a corpus for queries by BM25: corpus part by part and queries in, candidates out."""

from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl

from tasks.models.texts import document_text
from tasks.retrieve.analyzers import THAI_WORDS
from tasks.retrieve.lucene import Lucene
from tasks.retrieve.thai import segment_thai

SYSTEM = "bm25"
_DOCUMENTS = 2_000  # per request to Java
_QUERIES = 500
_SCHEMA = pl.Schema({"query_id": pl.String, "doc_id": pl.String, "rank": pl.Int32, "score": pl.Float32})


def rank_documents(
    parts: Iterable[pl.DataFrame],
    queries: pl.DataFrame,
    *,
    lucene: Lucene,
    folder: Path,
    analyzer: str,
    text: str,
    k1: float,
    b: float,
    depth: int,
    advance: Callable[[int], None],
) -> pl.DataFrame:
    """Index a corpus with Lucene and rank its documents for each query.

    Lucene's BM25: the sum over the query's terms of idf * tf / (tf + k1 * (1 - b + b * dl / avgdl)) with
    idf = ln(1 + (N - df + 0.5) / (df + 0.5)); above 40 terms the length dl is rounded to one byte.

    Args:
        parts: the corpus: doc_id, title, text; one part at a time is in memory.
        queries: query_id, text.
        lucene: the Java process.
        folder: an empty folder for the index, which the caller removes.
        analyzer: a name of `tasks.retrieve.analyzers`, for documents and queries alike.
        text: what of a document is indexed.
        k1: how slowly a repeated term stops counting.
        b: how much a long document is held back, 0..1.
        depth: documents per query, at most.
        advance: is told how many documents and queries are done.

    Returns:
        candidates: query_id, doc_id, system, rank (from 1), score; by query_id and rank. Equal scores rank by doc_id.
        A document is ranked for a query of the same id too. A query without a hit has no row.

    Raises:
        LuceneError: Java failed, or cannot do this analyzer: before the first document is indexed.
    """
    index = lucene.call("open", folder=str(folder.resolve()), analyzer=analyzer, k1=k1, b=b)
    try:
        done = 0
        for part in parts:
            for rows in part.select("doc_id", document_text(text).alias("text")).iter_slices(_DOCUMENTS):
                texts = _analysable(rows["text"], analyzer)
                lucene.call("add", number=index, doc_ids=rows["doc_id"].to_list(), texts=texts)
                done += rows.height
                advance(done)
        lucene.call("finish", number=index)
        ranked = [pl.DataFrame(schema=_SCHEMA)]
        for rows in queries.sort("query_id").iter_slices(_QUERIES):
            texts = _analysable(rows["text"], analyzer)
            rankings = lucene.call("search", number=index, texts=texts, depth=depth)
            ranked.append(_rows(rows["query_id"].to_list(), rankings))
            done += rows.height
            advance(done)
    finally:
        if lucene.alive:
            lucene.call("close", number=index)
    return pl.concat(ranked).select("query_id", "doc_id", pl.lit(SYSTEM).alias("system"), "rank", "score")


def _analysable(texts: pl.Series, analyzer: str) -> list[str]:
    return (segment_thai(texts) if analyzer == THAI_WORDS else texts).to_list()


def _rows(query_ids: list[str], rankings: list[list[tuple[str, float]]]) -> pl.DataFrame:
    hits = [
        (query_id, doc_id, rank, score)
        for query_id, ranking in zip(query_ids, rankings, strict=True)
        for rank, (doc_id, score) in enumerate(ranking, start=1)
    ]
    return pl.DataFrame(hits, schema=_SCHEMA, orient="row")
