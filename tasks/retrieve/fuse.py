"""Fuse the candidates of several systems into one ranking per query."""

import math
from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

Moments = dict[str, tuple[float, float]]  # by system: mean and deviation

_KEYS = ["query_id", "doc_id"]
_RRF_K = 60  # that of the paper: the larger, the less the first ranks stand out


def fuse_candidates(
    candidates: pl.DataFrame,
    *,
    method: str,
    standardise: str,
    weights: Mapping[str, float],
    top_k: int,
) -> pl.DataFrame:
    """Rank what several systems returned by one score.

    z_score: a document's score is the sum over the systems of weight * (score - mean) / deviation. A document that a
    system did not return for a query cannot have beaten those it did: it gets that system's lowest for the query. A
    system that returned nothing for the query, or only equal scores, says nothing: 0 for each document.
    rrf: the sum over the systems that returned the document of weight / (60 + rank).

    Args:
        candidates: of one language and all systems: query_id, doc_id, system, rank, score.
        method: `z_score` or `rrf`.
        standardise: mean and deviation over all scores of the system in this `language`, or over those of a `query`.
        weights: by system; 1 for one that is not named. One for a system that found nothing here has no effect.
        top_k: documents kept per query.

    Returns:
        fused: query_id, doc_id, rank (from 1), score, systems (system, rank, score of each system that has candidates
        here, by name; null where it did not return the document); by query_id and rank, equal scores by doc_id.

    Raises:
        ValueError: an unknown method or way to standardise.

    Source: Cormack et al., SIGIR 2009 (rrf); the sum of z-scores stands for the concatenation of the systems' vectors
    in arXiv 2509.09459, 3.3: an inner product of concatenations is a weighted sum of inner products.
    """
    systems = candidates["system"].unique().sort()
    if method not in ("z_score", "rrf") or standardise not in ("language", "query"):
        raise ValueError(
            f"fuse: expected method z_score or rrf and standardise language or query, got '{method}' and "
            f"'{standardise}'. Correct the setting."
        )
    weight = pl.col("system").replace_strict(dict(weights), default=1.0, return_dtype=pl.Float64)
    candidates = candidates.sort("system", *_KEYS)
    scored = _add_z_scores(candidates, standardise) if method == "z_score" else _add_rrf_scores(candidates)
    fused = (
        _cross(scored, systems)
        .with_columns(pl.col("part", "missing").fill_null(0.0))
        .with_columns(pl.when(pl.col("rank").is_null()).then("missing").otherwise("part").alias("part") * weight)
        .sort(*_KEYS, "system")
        .group_by(_KEYS, maintain_order=True)
        .agg(
            pl.col("part").sum().alias("score"),
            pl.struct("system", "rank", pl.col("returned").alias("score")).alias("systems"),
        )
        .sort("query_id", "score", "doc_id", descending=[False, True, False])
        .with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("query_id").alias("rank"))
    )
    kept = fused.filter(pl.col("rank") <= top_k)
    return kept.select(*_KEYS, "rank", pl.col("score").cast(pl.Float32), "systems")


def _add_z_scores(candidates: pl.DataFrame, standardise: str) -> pl.DataFrame:
    """Add `part`, the standardised score, and `missing`, what a document not returned gets."""
    group = ["system"] if standardise == "language" else ["system", "query_id"]
    score = pl.col("score").cast(pl.Float64)
    differs = score.max().over(group) > score.min().over(group)
    standardised = (score - score.mean().over(group)) / score.std(ddof=0).over(group)
    return candidates.with_columns(pl.when(differs).then(standardised).otherwise(0.0).alias("part")).with_columns(
        pl.col("part").min().over("system", "query_id").alias("missing")
    )


def _add_rrf_scores(candidates: pl.DataFrame) -> pl.DataFrame:
    return candidates.with_columns((1.0 / (_RRF_K + pl.col("rank"))).alias("part"), pl.lit(0.0).alias("missing"))


def _cross(scored: pl.DataFrame, systems: pl.Series) -> pl.DataFrame:
    """Give every document that any system returned for a query one row per system."""
    pairs = scored.select(_KEYS).unique().join(systems.to_frame(), how="cross")
    lowest = scored.group_by("query_id", "system").agg(pl.col("missing").first())
    rows = scored.select(*_KEYS, "system", "rank", pl.col("score").alias("returned"), "part")
    return pairs.join(rows, on=[*_KEYS, "system"], how="left").join(lowest, on=["query_id", "system"], how="left")


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
        for (system,), rows in part.sort("query_id", "doc_id").group_by("system", maintain_order=True):
            score_P = rows["score"].to_numpy().astype(np.float64)
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
