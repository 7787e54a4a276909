"""Batch plan and training log -> shares before and after, the heat map, masked slots; curves and throughput."""

from statistics import fmean
from typing import Any

import polars as pl

from tasks.plan_batches.shares import count_masked, plan_shares, topics_per_batch

Row = dict[str, Any]
Points = list[tuple[float, float]]
_POINTS = 80  # of a curve: steps are put together until there are no more


def batches(topics: pl.DataFrame, plan: pl.DataFrame) -> Row:
    """Describe a batch plan.

    Args:
        topics: rows of the topics dataset.
        plan: rows of the batch plan.

    Returns:
        `languages` and `topics` (rows of `plan_shares`; languages with topics_per_batch, topics_possible, masked: the
        share of slots with documents that are no negatives), `heat` (language -> topic -> share of its slots, all
        topics), `num_steps`, `num_slots`, `masked_pairs` (documents left out, over all slots).
    """
    shares = plan_shares(topics, plan)
    by_language = shares.filter(pl.col("by") == "language").join(
        topics_per_batch(plan), left_on="name", right_on="language", how="left", maintain_order="left"
    )
    masked = count_masked(plan).select(name="language", masked=pl.col("masked") / pl.col("slots"))
    counted = plan.group_by("language", "topic").agg(number=pl.len())
    numbers = {(language, topic): number for language, topic, number in counted.iter_rows()}
    by_topic = shares.filter(pl.col("by") == "topic").to_dicts()
    languages = by_language.join(masked, on="name", how="left", maintain_order="left").to_dicts()
    for row in by_topic:
        row["topic"], _, row["label"] = row["name"].partition(" ")
    heat = {
        row["name"]: {
            topic["name"]: numbers.get((row["name"], int(topic["topic"])), 0) / max(row["num_slots"], 1)
            for topic in by_topic
        }
        for row in languages
    }
    return {
        "languages": languages,
        "topics": by_topic,
        "heat": heat,
        "num_steps": plan.select("epoch", "step").n_unique(),
        "num_slots": len(plan),
        "masked_pairs": int(plan["not_negatives"].list.len().sum()),
    }


def curves(log: pl.DataFrame) -> dict[str, Points]:
    """Return a training's curves, each a list of (step, value), means of neighbouring steps.

    Args:
        log: rows of the training log.

    Returns:
        loss, learning_rate, gradient_norm, validation_ndcg; those that have a value at all.
    """
    norm = pl.col("gradient_norm").cast(pl.Float64)
    finite = log.with_columns(gradient_norm=pl.when(norm.is_finite()).then(norm))
    width = -(-len(log) // _POINTS)
    widths = {"loss": width, "learning_rate": width, "gradient_norm": width, "validation_ndcg": 1}
    found = {name: _means(finite, name, width) for name, width in widths.items()}
    return {name: points for name, points in found.items() if points}


def ends(curve: Points) -> tuple[float, float]:
    """Return the means of a curve's first and last tenth: a single step is of one language, and may be an odd one."""
    tenth = -(-len(curve) // 10)
    return fmean(value for _, value in curve[:tenth]), fmean(value for _, value in curve[-tenth:])


def losses(log: pl.DataFrame) -> dict[str, Points]:
    """Return the curve of each language's loss, where there are several languages."""
    parts = {
        str(language): rows
        for (language,), rows in log.sort("language", "step").group_by("language", maintain_order=True)
    }
    if len(parts) < 2:
        return {}
    return {
        name: _means(rows, "loss", max(1, len(rows) // 12, -(-len(rows) // _POINTS))) for name, rows in parts.items()
    }


def _means(log: pl.DataFrame, name: str, width: int) -> Points:
    rows = log.filter(pl.col(name).is_not_null()).sort("step").with_row_index("place")
    means = rows.group_by(pl.col("place") // width, maintain_order=True).agg(pl.col("step").mean(), pl.col(name).mean())
    return list(means.select("step", pl.col(name).cast(pl.Float64)).iter_rows())
