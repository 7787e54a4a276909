"""Count queries and judgements per split, to compare an ingest with a published table."""

import polars as pl


def count_by_split(queries: pl.DataFrame, qrels: pl.DataFrame) -> pl.DataFrame:
    """Count what each split holds; no corpus is needed.

    Args:
        queries: query_id, split.
        qrels: query_id, doc_id, relevance; judgements of other queries are not counted.

    Returns:
        split, num_queries, num_judgements, num_relevant, num_not_relevant, num_unjudged (queries without any
        judgement) and num_without_relevant (queries without a relevant document, unjudged ones included);
        sorted by split.
    """
    per_query = qrels.group_by("query_id").agg(num_judgements=pl.len(), num_relevant=(pl.col("relevance") > 0).sum())
    counts = pl.col("num_judgements", "num_relevant").fill_null(0).cast(pl.Int64)
    return (
        queries.select("query_id", "split")
        .join(per_query, on="query_id", how="left")
        .with_columns(counts)
        .group_by("split")
        .agg(
            num_queries=pl.len().cast(pl.Int64),
            num_judgements=pl.col("num_judgements").sum(),
            num_relevant=pl.col("num_relevant").sum(),
            num_not_relevant=(pl.col("num_judgements") - pl.col("num_relevant")).sum(),
            num_unjudged=(pl.col("num_judgements") == 0).sum().cast(pl.Int64),
            num_without_relevant=(pl.col("num_relevant") == 0).sum().cast(pl.Int64),
        )
        .sort("split")
    )
