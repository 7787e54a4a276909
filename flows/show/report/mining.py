"""The ledger and the judge -> the funnel of each language, distributions of probabilities, reliability."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

Row = dict[str, Any]

EDGES = np.linspace(-7.0, 7.0, 29)  # of the histograms' bins, in logits
CLASSES = ("positive", "judged negative", "candidate")
_FARTHEST = 1.0 / (1.0 + np.exp(6.9))  # probabilities nearer to 0 or 1 count to the outermost bin
_NOT_THE_JUDGES = (
    "judged_relevant",
    "judged_not_relevant",
    "beyond_num_negatives",
    "copy_of_relevant",
    "says_the_query",
)
_WORDS = {
    "judged_relevant": "judged relevant",
    "copy_of_relevant": "a copy of a relevant document",
    "says_the_query": "says what the query says",
    "relabelled": "became a positive",
    "rank_within_shift": "among the first ranks",
    "score_above_max": "score too high",
    "score_near_positive": "score near the positive's",
    "positive_not_scored": "positive has no score",
    "grade_above_max": "graded relevant by the judge",
    "probability_above_max": "probably relevant",
    "verdict_unparsed": "verdict unreadable",
    "beyond_num_negatives": "safe, not needed",
    "judged_not_relevant": "judged not relevant",
}


def words(reason: str) -> str:
    """Write a ledger's reason for people."""
    return _WORDS.get(reason, reason)


def distrusted() -> pl.Expr:
    """Say of a ledger's row whether the strategy took it for unsafe, a candidate that nobody judged."""
    by_strategy = (pl.col("decision") == "dropped") & ~pl.col("reason").is_in(_NOT_THE_JUDGES)
    return by_strategy & pl.col("relevance").is_null()


def funnel(ledger: pl.LazyFrame) -> list[Row]:
    """Follow each language's candidates to the kept ones.

    Args:
        ledger: rows of hard_negatives, with `language`.

    Returns:
        Per language: language, num_queries, candidates, judged (by people), reasons (of the dropped: reason -> number,
        the commonest first), supplemented (found by generated queries) and supplemented_kept, dropped, kept,
        negatives (per query: mean), without (queries that have none), unjudged and distrusted (of these, those the
        strategy took for unsafe).
    """
    is_kept, is_new = pl.col("decision") == "kept", pl.col("origin") == "generated"
    unjudged = pl.col("relevance").is_null()
    counts = ledger.group_by("language").agg(
        candidates=pl.len(),
        judged=(~unjudged).sum(),
        supplemented=is_new.sum(),
        supplemented_kept=(is_new & is_kept).sum(),
        kept=is_kept.sum(),
        unjudged=unjudged.sum(),
        distrusted=distrusted().sum(),
    )
    per_query = ledger.group_by("language", "query_id").agg(number=is_kept.sum())
    queries = per_query.group_by("language").agg(
        num_queries=pl.len(),
        negatives=pl.col("number").mean(),
        without=(pl.col("number") == 0).sum(),
    )
    reasons = ledger.filter(~is_kept).group_by("language", "reason").agg(number=pl.len())
    table, by_reason, asked = pl.collect_all([counts, reasons.sort("number", "reason", descending=True), queries])
    rows = table.join(asked, on="language").sort("language").to_dicts()
    for row in rows:
        mine = by_reason.filter(pl.col("language") == row["language"])
        row["reasons"] = dict(mine.select("reason", "number").iter_rows())
        row["dropped"] = row["candidates"] - row["kept"]
    return rows


def histograms(scores: pl.LazyFrame, qrels: pl.LazyFrame) -> dict[str, dict[str, list[float]]]:
    """Distribute each language's probabilities over the bins of `EDGES`.

    Args:
        scores: language, query_id, doc_id, probability; candidates and positives.
        qrels: language, query_id, doc_id, relevance.

    Returns:
        language -> class (of `CLASSES`, those that there are) -> the share of its pairs in each bin.
    """
    relevance = pl.col("relevance")
    kind = pl.when(relevance > 0).then(pl.lit(CLASSES[0])).when(relevance <= 0).then(pl.lit(CLASSES[1]))
    probability = pl.col("probability").cast(pl.Float64).clip(_FARTHEST, 1 - _FARTHEST)
    logit = (probability / (1 - probability)).log()
    keys = ["language", "query_id", "doc_id"]
    counted = (
        scores.filter(pl.col("probability").is_not_null())
        .join(qrels.select(*keys, "relevance"), on=keys, how="left")
        .with_columns(kind=kind.otherwise(pl.lit(CLASSES[2])))
        .with_columns(bin=((logit - EDGES[0]) / (EDGES[1] - EDGES[0])).floor().cast(pl.Int64))
        .group_by("language", "kind", "bin")
        .agg(number=pl.len())
        .collect()
    )
    found: dict[str, dict[str, list[float]]] = {}
    for language, name in counted.select("language", "kind").unique().sort("language", "kind").iter_rows():
        mine = counted.filter((pl.col("language") == language) & (pl.col("kind") == name))
        shares = np.zeros(len(EDGES) - 1)
        shares[mine["bin"].to_numpy()] = mine["number"].to_numpy() / mine["number"].sum()
        found.setdefault(language, {})[name] = shares.tolist()
    return found


def cuts(denoise: Mapping[str, Any]) -> list[tuple[float, str]]:
    """Return the probabilities above which a candidate is dropped, with their names; none where a strategy has none."""
    if denoise["strategy"] == "grade":
        found = [(g, "graded relevant from") for g in denoise["grade_cuts"][denoise["max_grade_kept"] :][:1]]
        most = denoise["max_probability"]
        return [*found, *([(most, "dropped above")] if most is not None else [])]
    if denoise["strategy"] == "threshold" and denoise["score"] == "probability":
        return [(denoise["max_score"], "dropped above")]
    return []


def reliability(calibration: pl.DataFrame) -> dict[str, list[Row]]:
    """Return each language's bins: promised and observed probability, and number of pairs; not where a class lacks."""
    bins = calibration.filter(pl.col("observed").is_not_null()).select(
        "language", "probability", "observed", "error", number=pl.col("num_positive") + pl.col("num_negative")
    )
    return {
        str(language): rows.sort("probability").to_dicts()
        for (language,), rows in bins.sort("language").group_by("language", maintain_order=True)
    }
