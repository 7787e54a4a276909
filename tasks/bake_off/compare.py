"""Ledgers of several strategies -> what each kept, dropped and missed, as one long table.

| metric | counts |
|---|---|
| `queries` | queries with a candidate |
| `short_queries` | of them, those with fewer negatives than they should have |
| `candidates`, `kept`, `dropped` | candidates, and what was decided |
| a reason, such as `score_above_max` | candidates with this reason; see tasks/denoise/select.py |
| `mean_rank`, `mean_probability` | of the kept: fused rank, and how probably relevant the judge finds them |
| `planted` | candidates that are planted false negatives (where the truth is known: atlas) |
| `planted_found`, `planted_kept` | of them, those that the strategy distrusted; those that it kept as negatives |
| `recall`, `precision` | share of the planted that it distrusted; share of the distrusted that are planted |
"""

from collections.abc import Mapping

import polars as pl

ALL = "all"
BAKE_OFF_SCHEMA = pl.Schema({"strategy": pl.String, "language": pl.String, "metric": pl.String, "value": pl.Float64})

_MEANS = ("mean_rank", "mean_probability", "recall", "precision")
# What a person judged, and what was safe but one too many: the other reasons are the strategy's distrust.
_NOT_DISTRUST = ("safe", "judged_not_relevant", "judged_relevant", "beyond_num_negatives")


def measure_ledger(ledger: pl.DataFrame, truth: pl.DataFrame | None, *, num_negatives: int) -> pl.DataFrame:
    """Count what one strategy did in one language.

    Args:
        ledger: one row per candidate: query_id, doc_id, rank, probability, decision, reason.
        truth: query_id, doc_id of the planted false negatives, which nobody judged; None where unknown.
        num_negatives: negatives that every query should have.

    Returns:
        metric, value; see the module. A share of nothing has no row.
    """
    is_kept = pl.col("decision") == "kept"
    per_query = ledger.group_by("query_id").agg(is_kept.sum().alias("kept"))
    values: dict[str, float | None] = {
        "queries": per_query.height,
        "short_queries": per_query.filter(pl.col("kept") < num_negatives).height,
        "candidates": ledger.height,
        "kept": ledger.filter(is_kept).height,
        "dropped": ledger.filter(~is_kept).height,
    }
    counts = ledger.group_by("reason").agg(pl.len().alias("number")).sort("number", "reason", descending=[True, False])
    values |= dict(counts.iter_rows())
    kept = ledger.filter(is_kept).select(pl.col("rank").mean(), pl.col("probability").cast(pl.Float64).mean())
    values |= {"mean_rank": kept["rank"][0], "mean_probability": kept["probability"][0]}
    if truth is not None:
        values |= _compare_with_truth(ledger, truth)
    rows = [(metric, float(value)) for metric, value in values.items() if value is not None]
    return pl.DataFrame(rows, schema={"metric": pl.String, "value": pl.Float64}, orient="row")


def _compare_with_truth(ledger: pl.DataFrame, truth: pl.DataFrame) -> dict[str, float | None]:
    pair = ["query_id", "doc_id"]
    is_distrusted = ~pl.col("reason").is_in(_NOT_DISTRUST)
    planted = ledger.join(truth.select(pair).unique(), on=pair, how="semi")
    num_distrusted = ledger.filter(is_distrusted).height
    num_found = planted.filter(is_distrusted).height
    return {
        "planted": planted.height,
        "planted_found": num_found,
        "planted_kept": planted.filter(pl.col("decision") == "kept").height,
        "recall": num_found / planted.height if planted.height else None,
        "precision": num_found / num_distrusted if num_distrusted else None,
    }


def summarise(measured: Mapping[str, Mapping[str, pl.DataFrame]]) -> pl.DataFrame:
    """Put strategies and languages together.

    Args:
        measured: strategy -> language -> metric, value.

    Returns:
        strategy, language, metric, value; strategies in the given order, languages in alphabetical order after `all`.
        `all` holds the sum of counts, and of means and shares the plain mean over the languages that have one.
    """
    parts = [pl.DataFrame(schema=BAKE_OFF_SCHEMA)]
    for strategy, languages in measured.items():
        rows = pl.concat([one.with_columns(language=pl.lit(name)) for name, one in sorted(languages.items())])
        value = pl.when(pl.col("metric").is_in(_MEANS)).then(pl.col("value").mean()).otherwise(pl.col("value").sum())
        total = rows.group_by("metric", maintain_order=True).agg(value.first(), language=pl.lit(ALL))
        parts += [
            part.select(pl.lit(strategy).alias("strategy"), "language", "metric", "value") for part in (total, rows)
        ]
    return pl.concat(parts)
