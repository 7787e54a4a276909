"""Verdicts -> one grade per pair, and the grades into the table of scores. No LLM is asked here.

A sample's grade is its weaker mark: 0 (irrelevant) where it is wrong or supplies nothing, 2 (highly relevant) where it
is both right and complete, 1 (partly relevant) in between.
"""

import polars as pl

from tasks.denoise.pairs import PAIR
from tasks.denoise.verdicts import PARSED

JUDGE = "llm"


def count_votes(verdicts: pl.DataFrame, *, vote: str) -> pl.DataFrame:
    """Let the samples of each pair vote on its grade.

    Args:
        verdicts: query_id, doc_id, accuracy, completeness, status; one row per sample.
        vote: `majority`: the grade that most samples give, the higher one where two are given as often (a lost negative
            costs less than a false one); `highest`: the highest grade that any sample gives.

    Returns:
        query_id, doc_id, raw (mean sum of both marks over the parsed samples, 0..4, float32), grade (0..2), sorted; raw
        and grade are null where no more than half of the samples were parsed.

    Raises:
        ValueError: `vote` is neither of the two.
    """
    if vote not in ("majority", "highest"):
        raise ValueError(f"denoise.llm.vote: expected 'majority' or 'highest', got '{vote}'. Choose one of these.")
    parsed = pl.col("status") == PARSED
    grades = pl.col("grade").filter(parsed)
    most = grades.max() if vote == "highest" else grades.mode().max()
    counted = (
        verdicts.with_columns(grade=pl.min_horizontal("accuracy", "completeness"))
        .group_by(PAIR)
        .agg(
            raw=(pl.col("accuracy") + pl.col("completeness")).filter(parsed).mean().cast(pl.Float32),
            grade=most.cast(pl.Int32),
            has_majority=parsed.sum() * 2 > pl.len(),
        )
    )
    decided = [pl.when("has_majority").then(name).alias(name) for name in ("raw", "grade")]
    return counted.select(*PAIR, *decided).sort(PAIR)


def raw_scores(votes: pl.DataFrame) -> pl.DataFrame:
    """Return the votes as raw scores of the judge `llm`; pairs without a majority are left out."""
    return votes.drop_nulls("raw").select(*PAIR, judge=pl.lit(JUDGE), raw="raw")


def put_votes(scores: pl.DataFrame, votes: pl.DataFrame) -> pl.DataFrame:
    """Let the LLM's grades take the place of the others in the table of scores.

    Args:
        scores: query_id, doc_id, judge, raw, probability, grade.
        votes: query_id, doc_id, grade (null: the LLM was asked, and no majority of its replies could be read).

    Returns:
        The columns of `scores`, sorted by query_id and doc_id. A pair that the LLM judged has `judge` = llm and its
        grade, null included; raw and probability stay as they were, null where the pair had no other score.
    """
    voted = votes.select(*PAIR, vote="grade", is_voted=pl.lit(True))
    table = scores.join(voted, on=PAIR, how="full", coalesce=True)
    return table.select(
        *PAIR,
        judge=pl.when("is_voted").then(pl.lit(JUDGE)).otherwise("judge"),
        raw="raw",
        probability="probability",
        grade=pl.when("is_voted").then("vote").otherwise("grade"),
    ).sort(PAIR)
