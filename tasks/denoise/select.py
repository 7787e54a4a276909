"""Scored candidates -> the ledger: which of them are safe to call negative, and why the others are not.

Reasons, stable, one per row of the ledger:

| reason | decision | meaning |
|---|---|---|
| `safe` | kept | the strategy found nothing against it |
| `judged_not_relevant` | kept | a person judged it not relevant; no strategy overrules that |
| `judged_relevant` | dropped | a person judged it relevant |
| `copy_of_relevant` | dropped | its text is that of a document judged relevant, or of one that is `relabelled` |
| `says_the_query` | dropped | its text is the query's own, with or without its title: whatever people and judges say |
| `relabelled` | dropped | not judged by people, of grade 2, and grade 2 becomes positive: `relabel_candidates` |
| `rank_within_shift` | dropped | `shifted`: among the first `shift` ranks |
| `score_above_max` | dropped | `threshold`: scores above `max_score` |
| `score_near_positive` | dropped | `margin`, `percent`: scores above what the positive's score allows |
| `positive_not_scored` | dropped | `margin`, `percent`: the query has no positive to compare with |
| `grade_above_max` | dropped | `grade`: the judge's grade is above `max_grade_kept` |
| `probability_above_max` | dropped | `grade`: more probably relevant than `max_probability`, where no LLM judged it |
| `verdict_unparsed` | dropped | the strategy needs the LLM's verdict, and most of its replies could not be read |
| `beyond_num_negatives` | dropped | safe, but the query already has `num_negatives` harder ones |
"""

from collections.abc import Callable

import polars as pl

from tasks.denoise.config import SelectConfig

RELABELLED, COPY, ECHO, HIGHLY_RELEVANT = "relabelled", "copy_of_relevant", "says_the_query", 2

Strategy = Callable[[SelectConfig], pl.Expr]
"""Settings -> why a candidate is unsafe, null where it is safe, over the columns rank, score, positive_score
(of the query's best positive, nullable), judge, grade and probability. Grade is null where an LLM was asked and no
majority of its replies could be read; score is null there too where the pair has no other judge."""


def naive(_settings: SelectConfig) -> pl.Expr:
    """Trust every candidate."""
    return pl.lit(None, dtype=pl.String)


def shifted(settings: SelectConfig) -> pl.Expr:
    """Distrust the first `shift` ranks: false negatives gather at the top."""
    return pl.when(pl.col("rank") <= settings.shift).then(pl.lit("rank_within_shift"))


def threshold(settings: SelectConfig) -> pl.Expr:
    """Distrust scores above `max_score`."""
    return (
        pl.when(pl.col("score").is_null())
        .then(pl.lit("verdict_unparsed"))
        .when(pl.col("score") > settings.max_score)
        .then(pl.lit("score_above_max"))
    )


def margin(settings: SelectConfig) -> pl.Expr:
    """Distrust scores above the positive's minus `margin`."""
    return _against_positive(pl.col("positive_score") - settings.margin)


def percent(settings: SelectConfig) -> pl.Expr:
    """Distrust scores above `percent` % of the positive's.

    The allowed gap is a share of the positive's size, so that it lies below a negative score too (a plain
    product would lie above it).
    """
    gap = (1.0 - settings.percent / 100.0) * pl.col("positive_score").abs()
    return _against_positive(pl.col("positive_score") - gap)


def grade(settings: SelectConfig) -> pl.Expr:
    """Distrust grades above `max_grade_kept`, and probabilities above `max_probability` where no LLM gave the grade."""
    most = 1.0 if settings.max_probability is None else settings.max_probability
    return (
        pl.when(pl.col("grade").is_null())
        .then(pl.lit("verdict_unparsed"))
        .when(pl.col("grade") > settings.max_grade_kept)
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


_LEDGER = [
    *("query_id", "doc_id", "rank", "fused_score", "systems", "judge", "raw", "probability", "grade"),
    *("relevance", "decision", "reason", "hardness"),
]


def select_hard_negatives(
    candidates: pl.DataFrame,
    scores: pl.DataFrame,
    qrels: pl.DataFrame,
    settings: SelectConfig,
    texts: pl.DataFrame | None = None,
    echoes: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Decide on every candidate: kept as a hard negative, or dropped, each with its reason.

    Judgements come first: judged relevant is always dropped, and so are its copies under other ids, and what says no
    more than the query; judged not relevant is always safe. Then the strategy drops what is unsafe, and of the rest the
    `num_negatives` best ranked are kept: hardest is what the retrievers rank highest, not what the judge finds most
    probably relevant.

    Args:
        candidates: one row per candidate: query_id, doc_id, rank (from 1), score (fused), systems.
        scores: one row per scored pair, the positives too: query_id, doc_id, judge, raw, probability, grade.
        qrels: one row per judgement: query_id, doc_id, relevance (0 or less = judged not relevant).
        settings: strategy, limits and the number to keep.
        texts: doc_id, same (equal where the texts are) of the documents that candidates and judgements name; none: no
            document is taken for another's copy.
        echoes: query_id, doc_id of the documents that say the query, see `find_echoes`; none: no document does.

    Returns:
        The ledger, one row per candidate: query_id, doc_id, rank, fused_score, systems, judge, raw, probability,
        grade, relevance (null = not judged), decision (kept | dropped), reason, hardness (1 = hardest; null =
        dropped), sorted by query_id, rank, doc_id.

    Raises:
        ValueError: a candidate has no row, or several, in `scores`.

    Source: the paper, 3.3 (2), 4.1, B.3; `percent` and `margin` are TopK-PercPos and TopK-MarginPos of NV-Retriever,
        arXiv 2407.15831, with the query's best-scored positive as the reference. With `score: fused`, where none was
        retrieved, the score of the last candidate: as in fusion, what is not in a list has beaten nothing of it.
    """
    table = _join_scores(candidates, scores, qrels)
    is_fused = settings.score == "fused"
    compared = "fused_score" if is_fused else settings.score
    positives = _best_positive(table if is_fused else scores, qrels, compared, or_lowest=is_fused)
    noted = (table.clear() if echoes is None else echoes).select("query_id", "doc_id", echo=pl.lit(ECHO))
    table = (
        _with_text(table, qrels, texts)
        .join(positives, on="query_id", how="left")
        .with_columns(score=pl.col(compared))
        .join(noted, on=["query_id", "doc_id"], how="left")
        .with_columns(unsafe=pl.coalesce("echo", _relabelled(settings), STRATEGIES[settings.strategy](settings)))
    )
    return _decide(table, settings.num_negatives).select(_LEDGER)


def _relabelled(settings: SelectConfig) -> pl.Expr:
    is_highly = (pl.col("grade") == HIGHLY_RELEVANT) & pl.col("text_relevance").is_null()  # people know better
    return pl.when(pl.lit(settings.relabel) & is_highly).then(pl.lit(RELABELLED))


def _with_text(table: pl.DataFrame, qrels: pl.DataFrame, texts: pl.DataFrame | None) -> pl.DataFrame:
    """Add `same`, a number of the text, and `text_relevance`, the highest judgement of a document with that text."""
    if texts is None:
        texts = table.select("doc_id").unique().with_columns(same=pl.lit(None, dtype=pl.UInt64))
    judged = qrels.join(texts, on="doc_id").group_by("query_id", "same").agg(text_relevance=pl.col("relevance").max())
    with_same = table.join(texts, on="doc_id", how="left")
    return with_same.join(judged, on=["query_id", "same"], how="left")


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


def _best_positive(
    scored: pl.DataFrame, qrels: pl.DataFrame, compared: str, *, or_lowest: bool = False
) -> pl.DataFrame:
    """Return query_id and positive_score; where no positive is scored null, or the lowest score of the query."""
    relevant = qrels.filter(pl.col("relevance") > 0).select("query_id", "doc_id", is_positive=pl.lit(value=True))
    marked = scored.join(relevant, on="query_id", how="semi").join(relevant, on=["query_id", "doc_id"], how="left")
    best, lowest = pl.col(compared).filter(pl.col("is_positive")).max(), pl.col(compared).min()
    return marked.group_by("query_id").agg(positive_score=pl.coalesce(best, lowest) if or_lowest else best)


def _decide(table: pl.DataFrame, num_negatives: int) -> pl.DataFrame:
    """Judgements, then the strategy, then the `num_negatives` hardest of what is left."""
    # Of several candidates that say the same, the first is relabelled.
    is_relabelled = ((pl.col("unsafe") == RELABELLED) & pl.col("relevance").is_null()).fill_null(False)
    num_relabelled = is_relabelled.cast(pl.Int32).cum_sum().over("query_id", "same")
    is_again = is_relabelled.any().over("query_id", "same") & ~(is_relabelled & (num_relabelled == 1))
    reason = (
        pl.when(pl.col("relevance") > 0)
        .then(pl.lit("judged_relevant"))
        .when((pl.col("text_relevance") > 0) | (is_again & pl.col("same").is_not_null()))
        .then(pl.lit(COPY))
        .when(pl.col("unsafe") == ECHO)
        .then(pl.lit(ECHO))
        .when(pl.col("relevance") <= 0)
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
