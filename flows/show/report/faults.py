"""What is wrong with a run's data so that nobody can miss it: sentences for the top of the report."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import polars as pl

from flows.show.report.results import figure
from tasks.languages import name_of

Row = dict[str, Any]
_LONE = 0.05  # a reciprocal rank below is a fault, whatever other languages show
_THIRD = 1 / 3
_SHORT = 0.9
_MANY = 0.9
_ENOUGH = 20  # queries, or candidates, from which a mean says something


def reciprocal_ranks(ranked: pl.LazyFrame, qrels: pl.LazyFrame) -> dict[str, float]:
    """Return each language's mean reciprocal rank of the best relevant document, 0 beyond the first ten.

    Args:
        ranked: language, query_id, doc_id, rank; of one system.
        qrels: language, query_id, doc_id, relevance. Languages with few queries are left out.
    """
    first = ranked.filter(pl.col("rank") <= 10).select("language", "query_id", "doc_id", "rank")
    per_query = (
        qrels.filter(pl.col("relevance") > 0)
        .join(first, on=["language", "query_id", "doc_id"], how="left")
        .group_by("language", "query_id")
        .agg(value=(1 / pl.col("rank").min()).fill_null(0.0))
    )
    means = per_query.group_by("language").agg(pl.len(), pl.col("value").mean()).filter(pl.col("len") >= _ENOUGH)
    return dict(means.sort("language").select("language", "value").collect().iter_rows())


def lost_answers(means: Mapping[str, float], split: str) -> list[str]:
    """Name the languages whose judged documents hardly stand near the top: their judgements are of something else."""
    lines = []
    for language, mean in means.items():
        others = [one for name, one in means.items() if name != language]
        usual = median(others) if others else 0.0
        if mean < max(_LONE, usual * _THIRD):
            beside = f", against {figure(usual)} in the middle language" if others else ""
            lines.append(
                f"{name_of(language)}: the documents judged relevant to its {split} queries hardly stand near the top "
                f"of any ranking (reciprocal rank {figure(mean)}{beside}). Are these the judgements of these queries?"
            )
    return lines


def short_lists(lists: Mapping[tuple[str, str], tuple[float, int]]) -> list[str]:
    """Name the rankings that are shorter than was asked: (what, language) -> (documents per query, asked for)."""
    return [
        f"{name_of(language)}: {what} {number:.1f} documents per query, where {asked} were asked for. "
        "Was a list cut short?"
        for (what, language), (number, asked) in lists.items()
        if number < _SHORT * asked
    ]


def odd_judges(funnel: Sequence[Row], strategy: str) -> list[str]:
    """Name the languages in which the judge distrusted no candidate, or nearly all."""
    lines = []
    for row in funnel if strategy != "naive" else ():
        number, distrusted = row["unjudged"], row["distrusted"]
        if number >= _ENOUGH and (distrusted == 0 or distrusted > _MANY * number):
            many = "none" if distrusted == 0 else f"{distrusted:,}"
            lines.append(
                f"{name_of(row['language'])}: of {number:,} candidates that nobody judged the judge dropped {many}, "
                "where some are relevant and most are not. See whether its scores tell them apart."
            )
    return lines
