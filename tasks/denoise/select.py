"""Scored candidates -> the ledger: which of them are safe to call negative, and why the others are not.

Reasons, stable, one per row of the ledger:

| reason | decision | meaning |
|---|---|---|
| `safe` | kept | the strategy found nothing against it |
| `judged_not_relevant` | kept | a person judged it not relevant; no strategy overrules that |
| `judged_relevant` | dropped | a person judged it relevant |
| `relabelled` | dropped | not judged by people, of grade 2, and grade 2 becomes positive: `relabel_candidates` |
| `rank_within_shift` | dropped | `shifted`: among the first `shift` ranks |
| `score_above_max` | dropped | `threshold`: scores above `max_score` |
| `score_near_positive` | dropped | `margin`, `percent`: scores above what the positive's score allows |
| `positive_not_scored` | dropped | `margin`, `percent`: the query has no positive with a score to compare with |
| `grade_above_max` | dropped | `grade`: the judge's grade is above `max_grade_kept` |
| `probability_above_max` | dropped | `grade`: more probably relevant than `max_probability`, where no LLM judged it |
| `verdict_unparsed` | dropped | the strategy needs the LLM's verdict, and most of its replies could not be read |
| `beyond_num_negatives` | dropped | safe, but the query already has `num_negatives` harder ones |
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

RELABELLED, HIGHLY_RELEVANT = "relabelled", 2
SCORES = ("probability", "raw", "fused")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the strategies compare with; each strategy reads its own fields. Values are the paper's (4.1, B.3)."""

    shift: int = 10
    max_score: float = 0.6
    margin: float = 0.15
    percent: float = 90.0
    max_grade_kept: int = 0
    max_probability: float | None = None
    relabel: bool = False


Strategy = Callable[[Limits], pl.Expr]
"""Limits -> why a candidate is unsafe, null where it is safe, over the columns rank, score, positive_score
(of the query's best positive, nullable), judge, grade and probability. Grade is null where an LLM was asked and no
majority of its replies could be read; score is null there too where the pair has no other judge."""


def naive(_limits: Limits) -> pl.Expr:
    """Trust every candidate."""
    return pl.lit(None, dtype=pl.String)


def shifted(limits: Limits) -> pl.Expr:
    """Distrust the first `shift` ranks: false negatives gather at the top."""
    return pl.when(pl.col("rank") <= limits.shift).then(pl.lit("rank_within_shift"))


def threshold(limits: Limits) -> pl.Expr:
    """Distrust scores above `max_score`."""
    return (
        pl.when(pl.col("score").is_null())
        .then(pl.lit("verdict_unparsed"))
        .when(pl.col("score") > limits.max_score)
        .then(pl.lit("score_above_max"))
    )


def margin(limits: Limits) -> pl.Expr:
    """Distrust scores above the positive's minus `margin`."""
    return _against_positive(pl.col("positive_score") - limits.margin)


def percent(limits: Limits) -> pl.Expr:
    """Distrust scores above `percent` % of the positive's.

    The allowed gap is a share of the positive's size, so that it lies below a negative score too (a plain
    product would lie above it).
    """
    gap = (1.0 - limits.percent / 100.0) * pl.col("positive_score").abs()
    return _against_positive(pl.col("positive_score") - gap)


def grade(limits: Limits) -> pl.Expr:
    """Distrust grades above `max_grade_kept`, and probabilities above `max_probability` where no LLM gave the grade."""
    most = 1.0 if limits.max_probability is None else limits.max_probability
    return (
        pl.when(pl.col("grade").is_null())
        .then(pl.lit("verdict_unparsed"))
        .when(pl.col("grade") > limits.max_grade_kept)
        .then(pl.lit("grade_above_max"))
        .when((pl.col("probability") > most) & (pl.col("judge") != "llm"))
        .then(pl.lit("probability_above_max"))
    )


STRATEGIES: dict[str, Strategy] = {
    "naive": naive,
    "shifted": shifted,
    "threshold": threshold,
    "margin": margin,
    "percent": percent,
    "grade": grade,
}


def select_hard_negatives(
    candidates: pl.DataFrame,
    scores: pl.DataFrame,
    qrels: pl.DataFrame,
    *,
    strategy: str,
    score: str,
    limits: Limits,
    num_negatives: int,
) -> pl.DataFrame:
    """Decide on every candidate: kept as a hard negative, or dropped, each with its reason.

    Judgements come first: judged relevant is always dropped, judged not relevant always safe. Then the strategy
    drops what is unsafe, and of the rest the `num_negatives` best ranked are kept: hardest is what the
    retrievers rank highest, not what the judge finds most probably relevant.

    Args:
        candidates: one row per candidate: query_id, doc_id, rank (from 1), score (fused), systems.
        scores: one row per scored pair, the positives too: query_id, doc_id, judge, raw, probability, grade.
        qrels: one row per judgement: query_id, doc_id, relevance (0 = not relevant).
        strategy: a key of `STRATEGIES`.
        score: what `threshold`, `margin` and `percent` compare: "probability", "raw" or "fused". A positive has
            a fused score only where it was retrieved.
        limits: the strategies' limits.
        num_negatives: negatives kept per query, at most.

    Returns:
        The ledger, one row per candidate: query_id, doc_id, rank, fused_score, systems, judge, raw, probability,
        grade, relevance (null = not judged), decision (kept | dropped), reason, hardness (1 = hardest; null =
        dropped), sorted by query_id, rank, doc_id.

    Raises:
        ValueError: an unknown strategy or score, or a candidate that has no row, or several, in `scores`.

    Source: METHOD 3.3 (2), 4.1, B.3; `percent` and `margin` are TopK-PercPos and TopK-MarginPos of NV-Retriever,
        arXiv 2407.15831, with the query's best-scored positive as the reference.
    """
    if strategy not in STRATEGIES:
        raise ValueError(
            f"denoise.strategy: expected one of {sorted(STRATEGIES)}, got '{strategy}'. Choose one of these."
        )
    if score not in SCORES:
        raise ValueError(f"denoise.score: expected one of {list(SCORES)}, got '{score}'. Choose one of these.")
    table = _join_scores(candidates, scores, qrels)
    compared = "fused_score" if score == "fused" else score
    positives = _best_positive(table if score == "fused" else scores, qrels, compared)
    table = (
        table.join(positives, on="query_id", how="left")
        .with_columns(score=pl.col(compared))
        .with_columns(unsafe=pl.coalesce(_relabelled(limits), STRATEGIES[strategy](limits)))
    )
    return _decide(table, num_negatives).select(
        "query_id",
        "doc_id",
        "rank",
        "fused_score",
        "systems",
        "judge",
        "raw",
        "probability",
        "grade",
        "relevance",
        "decision",
        "reason",
        "hardness",
    )


def _relabelled(limits: Limits) -> pl.Expr:
    return pl.when(pl.lit(limits.relabel) & (pl.col("grade") == HIGHLY_RELEVANT)).then(pl.lit(RELABELLED))


def _against_positive(allowed: pl.Expr) -> pl.Expr:
    return (
        pl.when(pl.col("positive_score").is_null())
        .then(pl.lit("positive_not_scored"))
        .when(pl.col("score").is_null())
        .then(pl.lit("verdict_unparsed"))
        .when(pl.col("score") > allowed)
        .then(pl.lit("score_near_positive"))
    )


def _join_scores(candidates: pl.DataFrame, scores: pl.DataFrame, qrels: pl.DataFrame) -> pl.DataFrame:
    """Put each candidate's scores and judgement beside it; scores of other pairs fall away."""
    pair = ["query_id", "doc_id"]
    table = candidates.rename({"score": "fused_score"}).join(scores, on=pair, how="left")
    unscored = table.filter(pl.col("judge").is_null())
    if len(table) != len(candidates) or len(unscored):
        raise ValueError(
            f"dataset 'scores': expected one row for each of {len(candidates)} candidates, got none for "
            f"{len(unscored)} (such as {unscored.select(pair).head(1).rows()}) and {len(table)} rows in all. "
            "Score the same candidates that are selected from."
        )
    return table.join(qrels.select(*pair, "relevance"), on=pair, how="left")


def _best_positive(scored: pl.DataFrame, qrels: pl.DataFrame, compared: str) -> pl.DataFrame:
    relevant = qrels.filter(pl.col("relevance") > 0).select("query_id", "doc_id")
    return (
        scored.select("query_id", "doc_id", compared)
        .join(relevant, on=["query_id", "doc_id"])
        .group_by("query_id")
        .agg(positive_score=pl.col(compared).max())
    )


def _decide(table: pl.DataFrame, num_negatives: int) -> pl.DataFrame:
    """Judgements, then the strategy, then the `num_negatives` hardest of what is left."""
    reason = (
        pl.when(pl.col("relevance") > 0)
        .then(pl.lit("judged_relevant"))
        .when(pl.col("relevance") == 0)
        .then(pl.lit("judged_not_relevant"))
        .otherwise(pl.coalesce("unsafe", pl.lit("safe")))
    )
    is_safe = pl.col("reason").is_in(["safe", "judged_not_relevant"])
    # Rows are in order of hardness here, ties in rank broken by doc_id, so counting the safe ones ranks them.
    hardness = pl.when(is_safe).then(is_safe.cast(pl.Int32).cum_sum().over("query_id"))
    is_kept = pl.col("hardness") <= num_negatives
    return (
        table.sort("query_id", "rank", "doc_id")
        .with_columns(reason=reason)
        .with_columns(hardness=hardness)
        .with_columns(
            reason=pl.when(pl.col("hardness") > num_negatives).then(pl.lit("beyond_num_negatives")).otherwise("reason"),
            decision=pl.when(is_kept).then(pl.lit("kept")).otherwise(pl.lit("dropped")),
            hardness=pl.when(is_kept).then("hardness"),
        )
    )
