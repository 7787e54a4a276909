"""candidates -> run: the ranked lists that are evaluated."""

from pathlib import Path

import polars as pl


def cut_run(candidates: pl.LazyFrame, *, system: str, depth: int) -> pl.DataFrame:
    """Cut ranked lists to their best documents.

    Args:
        candidates: query_id, doc_id, rank (from 1), score.
        system: name in the run.
        depth: documents per query, at most.

    Returns:
        system, query_id, doc_id, rank, score; sorted by query_id and rank.
    """
    return (
        candidates.filter(pl.col("rank") <= depth)
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
