"""How much each language and topic counts: in the train queries, in the plan, and after weighing."""

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
