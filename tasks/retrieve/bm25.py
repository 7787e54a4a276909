"""Rank a corpus for queries by BM25: corpus part by part into an index that is kept, queries in, candidates out."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl
from pythainlp.tokenize import word_tokenize
from pythainlp.util import reorder_vowels

from tasks.models.texts import document_text
from tasks.retrieve.analyzers import THAI_WORDS
from tasks.retrieve.lucene import Lucene

_DOCUMENTS = 2_000  # per request to Java
_QUERIES = 500
_UNUSED = 14 * 24 * 3600.0  # seconds after which an index goes, when another one is built
_INVISIBLE = "[\u00ad\u061c\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]"  # soft hyphen, direction, byte order mark
_APOSTROPHES = "[‘’ʻʼ＇]"  # one letter (Swahili's ng'ombe, don't), in whatever way it is typed
_SCHEMA = pl.Schema({"query_id": pl.String, "doc_id": pl.String, "rank": pl.Int32, "score": pl.Float32})


def rank_documents(
    parts: Iterable[pl.DataFrame],
    queries: pl.DataFrame,
    *,
    lucene: Lucene,
    index: Path,
    analyzer: str,
    text: str,
    k1: float,
    b: float,
    depth: int,
    advance: Callable[[int], None],
) -> pl.DataFrame:
    """Rank the documents of a corpus for each query; index it with Lucene first, where there is no index of it yet.

    Lucene's BM25: the sum over the query's terms of idf * tf / (tf + k1 * (1 - b + b * dl / avgdl)) with
    idf = ln(1 + (N - df + 0.5) / (df + 0.5)); above 40 terms the length dl is rounded to one byte.

    Args:
        parts: the corpus: doc_id, title, text; one part at a time is in memory. Not read where the index is there.
        queries: query_id, text.
        lucene: the Java process.
        index: folder that holds the index of this corpus, text and analyzer, or will; it appears when it is whole.
        analyzer: a name of `tasks.retrieve.analyzers`, for documents and queries alike.
        text: what of a document is indexed.
        k1: how slowly a repeated term stops counting.
        b: how much a long document is held back, 0..1.
        depth: documents per query, at most.
        advance: is told how many documents and queries are newly done; documents of an index that is there don't count.

    Returns:
        candidates: query_id, doc_id, system, rank (from 1), score; by query_id and rank. Equal scores rank by doc_id.
        A document is ranked for a query of the same id too. A query without a hit has no row.

    Raises:
        RuntimeError: Java failed.
    """
    if not index.exists():
        _build_index(parts, index, lucene, analyzer, text, advance)
    index.touch()  # it is in use
    ranked = [pl.DataFrame(schema=_SCHEMA)]
    for rows in queries.sort("query_id").iter_slices(_QUERIES):
        asked = {"query_ids": rows["query_id"].to_list(), "texts": _texts(rows["text"], analyzer)}
        hits = lucene.call("search", folder=str(index), analyzer=analyzer, **asked, k1=k1, b=b, depth=depth)
        ranked.append(pl.DataFrame(hits, schema=_SCHEMA, orient="row"))
        advance(rows.height)
    return pl.concat(ranked).select("query_id", "doc_id", pl.lit("bm25").alias("system"), "rank", "score")


def _build_index(
    parts: Iterable[pl.DataFrame], index: Path, lucene: Lucene, analyzer: str, text: str, advance: Callable[[int], None]
) -> None:
    """Index a corpus. Indices beside it that nobody used for a while go."""
    index.parent.mkdir(parents=True, exist_ok=True)
    for other in index.parent.iterdir():
        if time.time() - other.stat().st_mtime > _UNUSED:
            shutil.rmtree(other, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=index.parent) as unfinished:
        folder = Path(unfinished) / "index"
        lucene.call("begin", folder=str(folder), analyzer=analyzer)
        for part in parts:
            for rows in part.select("doc_id", document_text(text).alias("text")).iter_slices(_DOCUMENTS):
                texts = _texts(rows["text"], analyzer)
                lucene.call("add", doc_ids=rows["doc_id"].to_list(), texts=texts)
                advance(rows.height)
        lucene.call("finish", folder=str(folder))
        if not index.exists():  # another build may have been faster
            folder.rename(index)


def segment_thai(texts: pl.Series) -> pl.Series:
    """Put one space between words: Thai has none, and other scripts are cut as Thai is.

    What looks the same is spelled the same first (เเ as แ, the two parts of ำ as one), and U+200B, which marks
    where a line may break and is mostly left out, goes.

    Source: PyThaiNLP's `newmm`: the dictionary's longest match within Thai character clusters.
    """
    plain = map(reorder_vowels, texts.str.replace_all("\u200b", "").str.to_lowercase())
    words = [" ".join(word_tokenize(text, engine="newmm", keep_whitespace=False)) for text in plain]
    return pl.Series(texts.name, words, dtype=pl.String)


def _texts(texts: pl.Series, analyzer: str) -> list[str]:
    """Make canonically equal texts one text, for documents and queries alike; invisible characters part no word."""
    plain = texts.str.replace_all(_INVISIBLE, "").str.normalize("NFC").str.replace_all(_APOSTROPHES, "'")
    return (segment_thai(plain) if analyzer == THAI_WORDS else plain).to_list()
