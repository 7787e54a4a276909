"""candidates -> run: the ranked lists that are evaluated."""

from pathlib import Path

import polars as pl


def cut_run(candidates: pl.LazyFrame, queries: pl.LazyFrame, *, system: str, split: str, depth: int) -> pl.DataFrame:
    """Keep the ranked lists of one split's queries.

    Args:
        candidates: query_id, doc_id, rank (from 1), score, of any split's queries.
        queries: query_id, split.
        system: name in the run.
        split: the queries that are evaluated, `dev` as a rule.
        depth: documents per query, at most.

    Returns:
        system, query_id, doc_id, rank, score; sorted by query_id and rank.
    """
    in_split = queries.filter(pl.col("split") == split).select("query_id")
    return (
        candidates.filter(pl.col("rank") <= depth)
        .join(in_split, on="query_id", how="semi")
        .select(pl.lit(system).alias("system"), "query_id", "doc_id", "rank", "score")
        .sort("query_id", "rank")
        .collect()
    )


def write_trec(run: pl.DataFrame, path: Path) -> None:
    """Write a run as a TREC file: query, Q0, document, rank, score, system; what trec_eval and ranx read."""
    lines = run.select(
        pl.format("{} Q0 {} {} {} {}", "query_id", "doc_id", "rank", pl.col("score").cast(pl.Float64), "system")
    )
    path.write_text("".join(f"{line}\n" for line in lines.to_series()), encoding="utf-8")
