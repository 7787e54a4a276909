"""Queries -> the queries dataset: every id once, a split for each."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import polars as pl

from tasks.ingest.rows import BadRow, Judgement, Query, bad_row

COLUMNS = {
    "query_id": pl.String,
    "text": pl.String,
    "split": pl.String,
    "origin": pl.String,
    "parent": pl.String,
}


def splits_of_judgements(judgements: Iterable[Judgement | BadRow]) -> dict[str, list[str]]:
    """Return for each query the splits whose qrels name it, sorted; bad rows are not looked at here."""
    splits: dict[str, set[str]] = {}
    for row in judgements:
        if isinstance(row, Judgement):
            splits.setdefault(row.query_id, set()).add(row.split)
    return {query_id: sorted(names) for query_id, names in splits.items()}


def with_splits(rows: Iterable[Query | BadRow], splits: Mapping[str, list[str]]) -> Iterator[Query | BadRow]:
    """Give each query the split whose qrels name it: BEIR keeps the queries of all splits in one file.

    A query that two splits name is a bad row; one that none names keeps the split "" and is not ours to use.
    """
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        naming = splits.get(row.query_id, [])
        if len(naming) > 1:
            got = f"'{row.query_id}' in {' and '.join(naming)}"
            yield bad_row(row.source, row.line, "query in two splits", got=got, field="query_id", content=row.text)
        else:
            yield row._replace(split=naming[0] if naming else "")


def unique_queries(rows: Iterable[Query | BadRow]) -> Iterator[Query | BadRow]:
    """Turn queries whose id came before, in any split, into bad rows."""
    firsts: dict[str, Query] = {}
    for row in rows:
        if isinstance(row, BadRow) or row.query_id not in firsts:
            yield row
            if isinstance(row, Query):
                firsts[row.query_id] = row
            continue
        first = firsts[row.query_id]
        same = first.text == row.text
        reason = "duplicate id, same content" if same else "duplicate id, other content"
        got = f"'{row.query_id}' again, first in {first.source}, line {first.line}"
        yield bad_row(row.source, row.line, reason, got=got, field="query_id", content=row.text)


def queries_frame(rows: Iterable[Query]) -> pl.DataFrame:
    """Build the queries dataset.

    Args:
        rows: queries with unique ids; those with the split "" are left out.

    Returns:
        query_id, text, split, origin "given", parent null; sorted by query_id.
    """
    kept = [row for row in rows if row.split]
    return pl.DataFrame(
        {
            "query_id": [row.query_id for row in kept],
            "text": [row.text for row in kept],
            "split": [row.split for row in kept],
            "origin": ["given"] * len(kept),
            "parent": [None] * len(kept),
        },
        schema=COLUMNS,
    ).sort("query_id")


def hold_out_validation(queries: pl.DataFrame, *, share: float, seed: int) -> pl.DataFrame:
    """Turn a share of the train queries into validation queries.

    Whether a query is held out follows from its id and the seed alone: other queries and their order do not matter.

    Args:
        queries: query_id and split, whatever else; splits other than train stay.
        share: expected share of the train queries that is held out, 0..1.
        seed: decides which.

    Source: docs/method.md, stage 3 (the paper's B.4): 10 % of train is held out as validation.
    """
    splits = [
        "validation" if split == "train" and _fraction(seed, query_id) < share else split
        for query_id, split in queries.select("query_id", "split").iter_rows()
    ]
    return queries.with_columns(split=pl.Series(splits, dtype=pl.String))


def _fraction(seed: int, query_id: str) -> float:
    """Return a number in 0..1 that seems random but is the same everywhere."""
    digest = hashlib.blake2b(f"{seed}:{query_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
