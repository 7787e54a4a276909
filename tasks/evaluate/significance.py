"""Compare variants of a training: means over seeds, differences to a reference, and whether they are mere chance."""

import math
from collections.abc import Mapping
from statistics import fmean, stdev
from typing import Any

import polars as pl
from scipy.stats import ttest_rel

ALL = "all"
Results = Mapping[tuple[str, int], pl.DataFrame]


def compare_variants(results: Results, *, reference: str) -> list[dict[str, Any]]:
    """Compare variants with a reference.

    The difference is of means over the seeds that both have. The test is a paired t-test over the queries of all
    languages, each query's value being its mean over those seeds: it asks whether other queries would show the
    difference too, not whether other seeds would; their spread is `deviation`.

    Args:
        results: the metrics dataset's rows of one system for each (variant, seed): language, metric, query_id, value;
            query_id `all` are means, language `all` the mean over languages.
        reference: the variant that the others are compared with.

    Returns:
        A row per metric and variant, in the given order: metric, variant, num_seeds, mean, deviation (between seeds;
        null for one), difference, p, num_queries (the last three null where nothing is to compare).

    Source: the paired t-test of docs/method.md, p < 0.05 there.
    """
    variants = list(dict.fromkeys(variant for variant, _ in results))
    metrics = list(dict.fromkeys(name for frame in results.values() for name in frame["metric"]))
    rows = []
    for metric in metrics:
        means = {key: _mean(frame, metric) for key, frame in results.items()}
        for variant in variants:
            per_seed = [value for (name, _), value in means.items() if name == variant]
            seeds = sorted(seed for name, seed in results if name == variant and (reference, seed) in results)
            compared = variant != reference and bool(seeds)
            difference = fmean([means[variant, seed] - means[reference, seed] for seed in seeds]) if compared else None
            p, num_queries = _test(results, variant, reference, seeds, metric) if compared else (None, None)
            rows.append(
                {
                    "metric": metric,
                    "variant": variant,
                    "num_seeds": len(per_seed),
                    "mean": fmean(per_seed),
                    "deviation": stdev(per_seed) if len(per_seed) > 1 else None,
                    "difference": difference,
                    "p": p,
                    "num_queries": num_queries,
                }
            )
    return rows


def _mean(frame: pl.DataFrame, metric: str) -> float:
    is_mean = (pl.col("metric") == metric) & (pl.col("language") == ALL) & (pl.col("query_id") == ALL)
    return float(frame.filter(is_mean)["value"].item())


def _test(results: Results, variant: str, reference: str, seeds: list[int], metric: str) -> tuple[float | None, int]:
    """Test the queries' differences; p is null where there is no spread to test against."""
    one, other = (_per_query(results, name, seeds, metric) for name in (variant, reference))
    pairs = one.join(other, on=["language", "query_id"], suffix="_reference")
    if pairs.height < one.height or one.height != other.height:
        raise ValueError(
            f"ablation: expected the same queries of '{variant}' and '{reference}', got {one.height} and "
            f"{other.height}, {pairs.height} in common. Evaluate all variants on the same data."
        )
    if pairs.height < 2 or (pairs["value"] == pairs["value_reference"]).all():
        return None, pairs.height
    p = float(ttest_rel(pairs["value"].to_numpy(), pairs["value_reference"].to_numpy()).pvalue)
    return (None if math.isnan(p) else p), pairs.height


def _per_query(results: Results, variant: str, seeds: list[int], metric: str) -> pl.DataFrame:
    rows = pl.concat([results[variant, seed] for seed in seeds])
    return (
        rows.filter((pl.col("metric") == metric) & (pl.col("query_id") != ALL))
        .group_by("language", "query_id")
        .agg(pl.col("value").mean())
        .sort("language", "query_id")
    )
