"""Compare variants of a training: means over seeds, differences to a reference, and whether they are mere chance.

The difference is one of means over languages, each language counting alike, so test and interval are of this very
quantity: queries vary within their language, and every language weighs 1/L however many queries it has. Shapes: S
seeds, Q queries of one language, B draws.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

ALL = "all"
Results = Mapping[tuple[str, int], pl.DataFrame]
Doubles = NDArray[np.float64]

_DRAWS = 2_000  # of the bootstrap: the ends of a 95 % interval are then known to about 2 % of its width
_SHARE = 0.95
_KEYS = ["language", "query_id"]


def compare_variants(results: Results, *, reference: str) -> list[dict[str, Any]]:
    """Compare variants with a reference.

    The difference is of means over the seeds that both have. `p` asks whether other queries would show it too, each
    query's value being its mean over those seeds; `low` and `high` ask the same of other queries and other seeds.

    Args:
        results: the metrics dataset's rows of one system for each (variant, seed): language, metric, query_id, value;
            query_id `all` are means, language `all` the mean over languages.
        reference: the variant that the others are compared with.

    Returns:
        A row per metric and variant, in the given order: metric, variant, num_seeds, mean, deviation (between seeds;
        null for one), difference, low and high (the 95 % interval), p, p_holm (p held against all tests of the table),
        num_queries. What follows the deviation is null where nothing is to compare, p also where nothing varies.

    Raises:
        ValueError: two results are of other queries.
    """
    variants = list(dict.fromkeys(variant for variant, _ in results))
    metrics = list(dict.fromkeys(name for frame in results.values() for name in frame["metric"]))
    rows: list[dict[str, Any]] = []
    for metric in metrics:
        means = {key: _mean(frame, metric) for key, frame in results.items()}
        for variant in variants:
            per_seed = [value for (name, _), value in means.items() if name == variant]
            seeds = sorted(seed for name, seed in results if name == variant and (reference, seed) in results)
            row = {
                "metric": metric,
                "variant": variant,
                "num_seeds": len(per_seed),
                "mean": fmean(per_seed),
                "deviation": stdev(per_seed) if len(per_seed) > 1 else None,
            } | dict.fromkeys(("difference", "low", "high", "p", "p_holm", "num_queries"))
            if variant != reference and seeds:
                differences = _differences(results, variant, reference, seeds, metric)
                row["difference"], row["p"] = stratified_test([one.mean(axis=0) for one in differences])
                row["low"], row["high"] = bootstrap_interval(differences)
                row["num_queries"] = sum(one.shape[1] for one in differences)
            rows.append(row)
    tested = [row for row in rows if row["p"] is not None]
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = p
    return rows


def stratified_test(differences: Sequence[Doubles]) -> tuple[float, float | None]:
    """Test the mean over languages of the queries' mean differences against 0.

    For one language it is the paired t-test; for two, Welch's test of the one against the other with its sign turned.

    Args:
        differences: of each language: its queries' differences [Q].

    Returns:
        The mean over languages, and its two-sided p; null where nothing varies, or a language has one query alone.

    Source: Welch 1947 and Satterthwaite 1946, for the mean of the strata's means (stratified estimator, weights 1/L).
    """
    effect, spread = fmean(one.mean() for one in differences), _spread(differences)
    return effect, None if spread is None else float(2 * stdtr(spread[1], -abs(effect) / spread[0]))


def stratified_interval(values: Sequence[Doubles]) -> tuple[float, float]:
    """Return the 95 % interval of the mean over languages that belongs to `stratified_test`; the mean where p is null.

    Args:
        values: of each language: its queries' values or differences [Q].
    """
    mean, spread = fmean(one.mean() for one in values), _spread(values)
    half = 0.0 if spread is None else float(spread[0] * stdtrit(spread[1], (1 + _SHARE) / 2))
    return mean - half, mean + half


def _spread(differences: Sequence[Doubles]) -> tuple[float, float] | None:
    """Return the standard error of the mean over languages, and its degrees of freedom; None where p is null."""
    if min(len(one) for one in differences) < 2:
        return None
    variances = [one.var(ddof=1) / len(one) / len(differences) ** 2 for one in differences]
    variance = math.fsum(variances)
    if variance <= (1e-12 * max(np.abs(one).max() for one in differences)) ** 2:  # nothing but rounding varies
        return None
    freedom = variance**2 / sum(part**2 / (len(one) - 1) for part, one in zip(variances, differences, strict=True))
    return math.sqrt(variance), freedom


def bootstrap_interval(differences: Sequence[Doubles]) -> tuple[float, float]:
    """Return the 95 % interval of the mean over languages: queries drawn anew within each language, and the seeds.

    A seed is one training, so a draw takes the same seeds for every language.

    Args:
        differences: of each language: its queries' differences, by seed [S, Q].

    Source: Efron and Tibshirani 1993, chapters 8 and 13 (percentiles).
    """
    rng = np.random.default_rng(0)
    num_seeds = len(differences[0])
    share_BS = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=_DRAWS) / num_seeds
    mean_B = np.zeros(_DRAWS)
    for difference_SQ in differences:
        num_queries = difference_SQ.shape[1]
        for draw, share_S in enumerate(share_BS):
            mean_B[draw] += (share_S @ difference_SQ)[rng.integers(num_queries, size=num_queries)].mean()
    low, high = np.quantile(mean_B / len(differences), [(1 - _SHARE) / 2, (1 + _SHARE) / 2])
    return float(low), float(high)


def holm(ps: Sequence[float]) -> list[float]:
    """Hold each p against all: the chance of one false finding among them stays below what is asked of each.

    Source: Holm 1979, step-down.
    """
    adjusted, largest = [0.0] * len(ps), 0.0
    for place, index in enumerate(np.argsort(ps, kind="stable")):
        largest = max(largest, min(1.0, (len(ps) - place) * ps[index]))
        adjusted[index] = largest
    return adjusted


def _mean(frame: pl.DataFrame, metric: str) -> float:
    is_mean = (pl.col("metric") == metric) & (pl.col("language") == ALL) & (pl.col("query_id") == ALL)
    return float(frame.filter(is_mean)["value"].item())


def _differences(results: Results, variant: str, reference: str, seeds: list[int], metric: str) -> list[Doubles]:
    """Return each language's differences [S, Q], languages and queries in order."""
    asked = _per_query(results[reference, seeds[0]], metric).select(_KEYS)
    gaps = []
    for seed in seeds:
        one, other = (_per_query(results[name, seed], metric) for name in (variant, reference))
        if not (one.select(_KEYS).equals(asked) and other.select(_KEYS).equals(asked)):
            raise ValueError(
                f"comparison: expected the same queries of '{variant}' and '{reference}', got {one.height} and "
                f"{other.height}, {one.join(other, on=_KEYS).height} in common. Evaluate all variants on the same data."
            )
        gaps.append(one["value"].to_numpy() - other["value"].to_numpy())
    gap_SQ = np.stack(gaps)
    starts = asked.with_row_index().group_by("language", maintain_order=True).first()["index"].to_list()
    return np.split(gap_SQ, starts[1:], axis=1)


def _per_query(frame: pl.DataFrame, metric: str) -> pl.DataFrame:
    is_query = (pl.col("metric") == metric) & (pl.col("query_id") != ALL)
    return frame.filter(is_query).sort(_KEYS).select(*_KEYS, "value")
