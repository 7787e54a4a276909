"""Scores that are kept by query, so that no pair is scored twice, whichever candidates a ledger asks for."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import polars as pl

from tasks.models.chat.memory import Memory

_SCHEMA = pl.Schema({"query_id": pl.String, "doc_id": pl.String, "judge": pl.String, "raw": pl.Float32})


def score_remembered(
    pairs: pl.DataFrame,
    memory: Memory,
    *,
    identity: str,
    score: Callable[[pl.DataFrame], pl.DataFrame],
    batch_queries: int,
) -> pl.DataFrame:
    """Score pairs of texts, each only if no earlier call with this memory has.

    Args:
        pairs: query_id, doc_id, query, document.
        memory: keeps a record per query; a killed run goes on from its records.
        identity: of the judge, with all settings that change a score.
        score: takes rows of `pairs` and returns query_id, doc_id, judge, raw.
        batch_queries: queries that are scored, and then kept, at once.

    Returns:
        query_id, doc_id, judge, raw (float32), sorted by query_id and doc_id.
    """
    parts = [pl.DataFrame(schema=_SCHEMA)]
    queries = pairs.sort("query_id", "doc_id").partition_by("query_id", maintain_order=True)
    for start in range(0, len(queries), batch_queries):
        batch = queries[start : start + batch_queries]
        keys = [_key(identity, rows) for rows in batch]
        known = [(memory.get(key) or {}) for key in keys]
        unknown = [rows.filter(_is_unknown(rows, record)) for rows, record in zip(batch, known, strict=True)]
        if asked := [rows for rows in unknown if rows.height]:
            scored = score(pl.concat(asked)).partition_by("query_id", as_dict=True)
            for key, record, rows in zip(keys, known, unknown, strict=True):
                if rows.height:
                    record.update(_entries(rows, scored[(rows["query_id"][0],)]))
                    memory.add(key, record)
        parts += [_scores(rows, record) for rows, record in zip(batch, known, strict=True)]
    return pl.concat(parts)


def _key(identity: str, rows: pl.DataFrame) -> str:
    return _digest(json.dumps([identity, *rows.select("query_id", "query").row(0)], ensure_ascii=False))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_unknown(rows: pl.DataFrame, record: dict[str, Any]) -> pl.Series:
    """Compare documents by their texts too: the same id may name another text by now."""
    texts = rows.select("doc_id", "document").iter_rows()
    return pl.Series([record.get(doc_id, [None])[0] != _digest(text) for doc_id, text in texts], dtype=pl.Boolean)


def _entries(rows: pl.DataFrame, scored: pl.DataFrame) -> dict[str, Any]:
    table = rows.join(scored, on=["query_id", "doc_id"]).select("doc_id", "document", "judge", "raw")
    return {doc_id: [_digest(text), judge, raw] for doc_id, text, judge, raw in table.iter_rows()}


def _scores(rows: pl.DataFrame, record: dict[str, Any]) -> pl.DataFrame:
    entries = [(query_id, doc_id, *record[doc_id][1:]) for query_id, doc_id in rows.select("query_id", "doc_id").rows()]
    return pl.DataFrame(entries, schema=_SCHEMA, orient="row")
