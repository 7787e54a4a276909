"""Folds of queries: who may judge whom."""

import hashlib
import re

import polars as pl

_LANGUAGE = re.compile(r"(?<![^\W_])[a-z]{2}(?![^\W_])")


def parallel_id(query_id: str) -> str:
    """Return what the ids of one question in several languages share: the id without parts of two small letters.

    `atlas-sw-q0012` and `atlas-fi-q0012` are one question; who has seen one of them must not judge the other.
    """
    return _LANGUAGE.sub("", query_id)


def fold_of(query_id: str, *, num_folds: int, seed: int) -> int:
    """Return a query's fold, 0..num_folds-1: by its id alone, so that other queries never move it.

    Parallel questions are in one fold, see `parallel_id`.

    Raises:
        ValueError: fewer than 2 folds: no model could be free of the query that it scores.
    """
    if num_folds < 2:
        raise ValueError(f"num_folds: expected 2 or more, got {num_folds}. Correct denoise.fit.num_folds.")
    digest = hashlib.sha256(f"{seed}/{parallel_id(query_id)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % num_folds


def with_folds(pairs: pl.DataFrame, *, num_folds: int, seed: int) -> pl.DataFrame:
    """Add the column `fold` (int32) to rows that have a query_id.

    Raises:
        ValueError: fewer than 2 folds.
    """
    query_ids = pairs["query_id"].unique().sort()
    folds = [fold_of(query_id, num_folds=num_folds, seed=seed) for query_id in query_ids]
    table = pl.DataFrame({"query_id": query_ids, "fold": pl.Series(folds, dtype=pl.Int32)})
    return pairs.join(table, on="query_id", how="left", maintain_order="left")
