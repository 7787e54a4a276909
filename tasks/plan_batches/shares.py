"""How much each language and topic counts: in the train queries, in the plan, and after weighing."""

from collections.abc import Iterable

import polars as pl


def plan_shares(topics: pl.DataFrame | pl.LazyFrame, plan: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Compare the shares of languages and topics before and after planning.

    Args:
        topics: one row per train query: language, query_id, topic, label.
        plan: rows of the batch_plan: language, topic, weight.

    Returns:
        by ("language" | "topic"), name (the code, or number and label), num_queries, num_slots, share_before (of the
        train queries), share_planned (of the slots), share_weighted (of the summed weights), mean_weight; languages
        first, then topics by number. Shares are 0..1; mean_weight is null where there is no slot.
    """
    queries = topics.lazy().group_by("language", "topic", "label").agg(num_queries=pl.len()).collect()
    slots = (
        plan.lazy()
        .group_by("language", "topic")
        .agg(num_slots=pl.len(), weight=pl.col("weight").cast(pl.Float64).sum())
    )
    pairs = queries.join(slots.collect(), on=["language", "topic"], how="left").with_columns(
        pl.col("num_slots", "weight").fill_null(0)
    )
    by_language = _summarise(pairs, by="language", name=pl.col("language"), order="language")
    by_topic = _summarise(pairs, by="topic", name=pl.format("{} {}", "topic", "label"), order="topic")
    return pl.concat([by_language, by_topic])


def topics_per_batch(plan: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """Compare how many topics a batch of each language has with the most that it could have.

    A topic that fills the share s of a language's slots can be in at most min(1, s * slots of a batch) of its batches.
    What is missing was given up so that no known positive is among the negatives.

    Args:
        plan: rows of the batch_plan: step, language, topic.

    Returns:
        language, num_batches (that it is in), topics_per_batch (mean), topics_possible; sorted.
    """
    pairs = plan.lazy().group_by("language", "step").agg(pl.len(), topics=pl.col("topic").n_unique())
    batches = pairs.group_by("language").agg(
        num_batches=pl.len(), topics_per_batch=pl.col("topics").mean(), num_slots=pl.col("len").sum()
    )
    topics = plan.lazy().group_by("language", "topic").agg(in_topic=pl.len())
    most = pl.min_horizontal(pl.col("in_topic") / pl.col("num_batches"), 1.0)
    return (
        topics.join(batches, on="language")
        .group_by("language", "num_batches", "topics_per_batch")
        .agg(topics_possible=most.sum())
        .select("language", pl.col("num_batches").cast(pl.Int64), "topics_per_batch", "topics_possible")
        .sort("language")
        .collect()
    )


def count_masked(plan: pl.DataFrame) -> pl.DataFrame:
    """Count a part's slots: language, slots, masked (those with documents in their batch that are no negatives)."""
    masked = (pl.col("not_negatives").list.len() > 0).sum()
    return plan.group_by("language").agg(slots=pl.len(), masked=masked)


def masked_lines(counts: Iterable[pl.DataFrame]) -> list[str]:
    """Say of each language that has masked slots how many, going by the counts of a plan's parts."""
    total = pl.concat(counts).group_by("language").sum().filter(pl.col("masked") > 0).sort("language")
    return [
        f"{language}: {masked} of {slots} slots ({masked / slots:.1%}) have documents in their batch that may be "
        "relevant to them; the loss leaves these out (column not_negatives)"
        for language, slots, masked in total.select("language", "slots", "masked").rows()
    ]


def _summarise(pairs: pl.DataFrame, *, by: str, name: pl.Expr, order: str) -> pl.DataFrame:
    total = pl.col("num_queries", "num_slots", "weight").sum()
    return (
        pairs.with_columns(name=name)
        .group_by(order, "name")
        .agg(total)
        .sort(order, "name")
        .select(
            pl.lit(by).alias("by"),
            "name",
            pl.col("num_queries", "num_slots").cast(pl.Int64),
            share_before=pl.col("num_queries") / pl.col("num_queries").sum(),
            share_planned=pl.col("num_slots") / pl.col("num_slots").sum(),
            share_weighted=pl.col("weight") / pl.col("weight").sum(),
            mean_weight=pl.when(pl.col("num_slots") > 0).then(pl.col("weight") / pl.col("num_slots")),
        )
    )
