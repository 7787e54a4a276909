"""Rows of pairs that are kept by query, so that none is computed twice, whichever candidates a ledger asks for."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import polars as pl

from tasks.denoise.pairs import PAIR
from tasks.models.chat.memory import Memory


def compute_once(
    pairs: pl.DataFrame,
    memory: Memory,
    *,
    identity: str,
    schema: pl.Schema,
    compute: Callable[[pl.DataFrame], pl.DataFrame],
) -> pl.DataFrame:
    """Compute a row for each pair of texts, unless an earlier call with this memory has.

    Args:
        pairs: query_id, doc_id, query, document.
        memory: keeps a record per query; a killed run goes on from its records.
        identity: of the judge, with everything that changes a row.
        schema: of the rows: query_id, doc_id and what is computed.
        compute: takes rows of `pairs` and returns theirs; called at most once, and not for nothing.

    Returns:
        A row for each pair, sorted by query_id and doc_id.
    """
    queries = pairs.sort(PAIR).partition_by("query_id", maintain_order=True)
    keys = [_digest(json.dumps([identity, *of_query.select("query_id", "query").row(0)])) for of_query in queries]
    records: list[dict[str, Any]] = [memory.get(key) or {} for key in keys]
    missing = [
        of_query.filter(_is_missing(of_query, record)) for of_query, record in zip(queries, records, strict=True)
    ]
    if any(len(of_query) for of_query in missing):
        computed = compute(pl.concat(missing)).select(schema.names()).partition_by("query_id", as_dict=True)
        for key, record, of_query in zip(keys, records, missing, strict=True):
            if len(of_query):
                computed_rows = of_query.select(*PAIR, "document").join(computed[(of_query["query_id"][0],)], on=PAIR)
                record.update(
                    {doc_id: [_digest(text), *values] for _, doc_id, text, *values in computed_rows.iter_rows()}
                )
                memory.add(key, record)
    table = [
        (query_id, doc_id, *record[doc_id][1:])
        for of_query, record in zip(queries, records, strict=True)
        for query_id, doc_id in of_query.select(PAIR).iter_rows()
    ]
    return pl.DataFrame(table, schema=schema, orient="row")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_missing(rows: pl.DataFrame, record: dict[str, Any]) -> pl.Series:
    """Compare documents by their texts too: the same id may name another text by now."""
    texts = rows.select("doc_id", "document").iter_rows()
    return pl.Series([record.get(doc_id, [None])[0] != _digest(text) for doc_id, text in texts], dtype=pl.Boolean)
