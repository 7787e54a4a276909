"""candidates -> run: the ranked lists that are evaluated."""

import re
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl
from numpy.typing import NDArray

_SPACE = re.compile(r"\s|%(?=[0-9A-Fa-f]{2})")  # what ends a field of a TREC file, and what reads like an escape


def cut_run(candidates: pl.LazyFrame, *, system: str, depth: int) -> pl.DataFrame:
    """Cut ranked lists to their best documents.

    Args:
        candidates: query_id, doc_id, rank (from 1), score.
        system: name in the run.
        depth: documents per query, at most.

    Returns:
        system, query_id, doc_id, rank, score; sorted by query_id and rank.
    """
    return (
        candidates.filter(pl.col("rank") <= depth)
        .select(pl.lit(system).alias("system"), "query_id", "doc_id", "rank", "score")
        .sort("query_id", "rank")
        .collect()
    )


def write_trec(run: pl.DataFrame, path: Path) -> None:
    """Write a run as a TREC file (query, Q0, document, rank, score, system), so that trec_eval measures what we do.

    trec_eval goes by the score, as a float32, and orders equal ones by id: a score that does not fall is written as the
    next lower float32. White space in an id is written as in a URL (`New%20York`; a `%20` that stands there already as
    `%2520`): `urllib.parse.unquote` undoes it.

    Args:
        run: system, query_id, doc_id, rank, score (float32); by query_id and rank.
        path: the file.
    """
    order = pl.Series("order", _to_order(run["score"].cast(pl.Float32).to_numpy()))
    # Each at most the one before it, less one step: the running minimum of what every rank adds a step to.
    falling = run.with_columns(order).select(
        (pl.col("order") + pl.col("rank")).cum_min().over("query_id") - pl.col("rank")
    )
    lines = run.with_columns(score=pl.Series(_from_order(falling["order"].to_numpy()))).select(
        pl.format(
            "{} Q0 {} {} {} {}",
            *(_without_space(name) for name in ("query_id", "doc_id")),
            "rank",
            pl.col("score").cast(pl.Float64),
            "system",
        )
    )
    path.write_text("".join(f"{line}\n" for line in lines.to_series()), encoding="utf-8")


def _to_order(score_N: NDArray[np.float32]) -> NDArray[np.int64]:
    """Number float32s so that neighbours differ by 1."""
    bits_N = score_N.view(np.int32).astype(np.int64)
    return np.where(bits_N < 0, -(bits_N & 0x7FFFFFFF), bits_N)


def _from_order(order_N: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.copysign(np.abs(order_N).astype(np.int32).view(np.float32), order_N).astype(np.float32)


def _without_space(name: str) -> pl.Expr:
    return pl.col(name).map_elements(lambda one: _SPACE.sub(lambda found: quote(found[0]), one), return_dtype=pl.String)
