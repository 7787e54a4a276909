"""Mean and deviation of a system's scores, so that scores of different systems can be added."""

import math
from collections.abc import Iterable

import numpy as np
import polars as pl

Moments = dict[str, tuple[float, float]]  # by system: mean and deviation


def language_moments(parts: Iterable[pl.DataFrame]) -> Moments:
    """Measure each system's scores over a whole language; one part at a time is in memory.

    Args:
        parts: candidates: query_id, doc_id, system, score; in an order that is always the same.

    Returns:
        Mean and (population) deviation by system.

    Source: Chan, Golub and LeVeque 1979, for joining the moments of parts.
    """
    joined: dict[str, tuple[int, float, float]] = {}
    for part in parts:
        for (system,), found in part.sort("query_id", "doc_id").group_by("system", maintain_order=True):
            score_P = found["score"].to_numpy().astype(np.float64)
            one = (len(score_P), float(score_P.mean()), float(np.square(score_P - score_P.mean()).sum()))
            joined[str(system)] = _join(joined.get(str(system), (0, 0.0, 0.0)), one)
    return {system: (mean, math.sqrt(squares / number)) for system, (number, mean, squares) in joined.items()}


def _join(one: tuple[int, float, float], other: tuple[int, float, float]) -> tuple[int, float, float]:
    number = one[0] + other[0]
    gap = other[1] - one[1]
    squares = one[2] + other[2] + gap * gap * one[0] * other[0] / number
    return number, one[1] + gap * other[0] / number, squares


def query_moments(candidates: pl.DataFrame) -> pl.DataFrame:
    """Measure each system's scores per query: query_id, system, mean, deviation."""
    score = pl.col("score").cast(pl.Float64)
    ordered = candidates.sort("system", "query_id", "doc_id")
    return ordered.group_by("query_id", "system", maintain_order=True).agg(
        score.mean().alias("mean"), score.std(ddof=0).alias("deviation")
    )
