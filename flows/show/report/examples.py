"""Ledger, runs and texts -> examples to browse: what the judge dropped and kept, which queries were won and lost."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from flows.show.report.mining import distrusted, words

Row = dict[str, Any]
_KEY = ["language", "query_id"]
_CHARACTERS = 300  # of a document
_EXAMPLES = 480  # of all kinds and languages together
_DEEP = 1_000_000  # the rank of what is not ranked


def per_kind(num_languages: int) -> int:
    """Return how many examples of each of the four kinds a language has."""
    return max(4, min(20, _EXAMPLES // (4 * max(num_languages, 1))))


def decisions(ledger: pl.LazyFrame, number: int) -> list[Row]:
    """Choose what was dropped as too relevant and the hardest that was kept, the most probably relevant first.

    Args:
        ledger: rows of hard_negatives, with `language`.
        number: per language and kind, one of a query at most.

    Returns:
        kind (dropped | kept), language, query_id, doc_id, rank, probability, grade, reason (in words); all languages
        in one order.
    """
    rows: list[Row] = []
    order = ("language", pl.col("probability").fill_null(-1), "fused_score", "query_id", "doc_id")
    for kind, which in (("dropped", distrusted()), ("kept", pl.col("hardness") == 1)):
        ordered = ledger.filter(which).sort(order, descending=[False, True, True, False, False])
        first = ordered.unique(_KEY, keep="first", maintain_order=True).group_by("language", maintain_order=True)
        columns = pl.col(*_KEY, "doc_id", "rank", "probability", "grade", "reason")
        rows += first.head(number).select(columns, kind=pl.lit(kind)).collect().to_dicts()
    rows.sort(key=lambda row: -1 if row["probability"] is None else row["probability"], reverse=True)
    return [{**row, "reason": words(row["reason"])} for row in rows]


def contests(values: Mapping[str, pl.DataFrame], runs: Mapping[str, pl.LazyFrame], number: int) -> list[Row]:
    """Choose the queries that the last system won, and lost, most clearly against the first.

    Args:
        values: system -> language, query_id, value, of one metric.
        runs: system -> language, query_id, doc_id, rank.
        number: per language and kind.

    Returns:
        kind (won | lost), language, query_id, values (system -> value), ranks (system -> doc_id -> rank); the widest
        gaps first, over all languages.
    """
    (other, *_), (*_, one) = values, values
    both = values[one].join(values[other], on=_KEY, suffix="_other")
    gap = pl.col("value") - pl.col("value_other")
    ordered = both.with_columns(gap=gap).sort("language", gap.abs(), "query_id", descending=[False, True, False])
    rows: list[Row] = []
    for kind, which in (("won", pl.col("gap") > 0), ("lost", pl.col("gap") < 0)):
        chosen = ordered.filter(which).group_by("language", maintain_order=True).head(number)
        for language, query_id, mine, its in chosen.select(*_KEY, "value", "value_other").iter_rows():
            row = {"kind": kind, "language": language, "query_id": query_id, "values": {one: mine, other: its}}
            rows.append(row | {"ranks": {one: {}, other: {}}})
    rows.sort(key=lambda row: -abs(row["values"][one] - row["values"][other]))
    asked = {(row["language"], row["query_id"]): row for row in rows}
    keys = pl.LazyFrame(list(asked), schema=_KEY, orient="row")
    for system in (one, other):
        ranked = runs[system].join(keys, on=_KEY, how="semi").select(*_KEY, "doc_id", "rank").sort("rank").collect()
        for language, query_id, doc_id, rank in ranked.iter_rows():
            asked[language, query_id]["ranks"][system][doc_id] = rank
    return rows


def complete(rows: list[Row], *, queries: pl.LazyFrame, qrels: pl.LazyFrame, corpus: pl.LazyFrame) -> list[Row]:
    """Add the texts: `query`, `positive` and `candidate` (doc_id, title, text; what the corpus lacks has no text).

    The positive of a contest is the relevant document that either system ranks best, with its `places`; the candidate
    is the first document of the loser that is not relevant.
    """
    keys = pl.LazyFrame([(row["language"], row["query_id"]) for row in rows], schema=_KEY, orient="row").unique()
    texts = {row[:2]: row[2] for row in queries.join(keys, on=_KEY, how="semi").select(*_KEY, "text").collect().rows()}
    judged = qrels.filter(pl.col("relevance") > 0).join(keys, on=_KEY, how="semi")
    answers: dict[tuple[str, str], list[str]] = {}
    for *key, doc_id in (
        judged.sort("relevance", "doc_id", descending=[True, False]).select(*_KEY, "doc_id").collect().rows()
    ):
        answers.setdefault((key[0], key[1]), []).append(doc_id)
    for row in rows:
        relevant, ranks = answers.get((row["language"], row["query_id"]), []), row.pop("ranks", {})
        row["query"] = texts.get((row["language"], row["query_id"]))
        row["positive"] = min(
            relevant, key=lambda one: min((r.get(one, _DEEP) for r in ranks.values()), default=0), default=None
        )
        if ranks:
            row["places"] = {system: of_system.get(row["positive"]) for system, of_system in ranks.items()}
            loser = list(ranks)[row["kind"] == "won"]
            row["doc_id"] = next((one for one in ranks[loser] if one not in relevant), None)
    documents = _documents(rows, corpus)
    for row in rows:
        for name, place in (("positive", row["positive"]), ("candidate", row.pop("doc_id"))):
            row[name] = {"doc_id": place, **documents.get((row["language"], place), {})} if place else None
    return rows


def _documents(rows: list[Row], corpus: pl.LazyFrame) -> dict[tuple[str, str], Row]:
    wanted = {(row["language"], row[name]) for row in rows for name in ("positive", "doc_id") if row[name]}
    named = pl.LazyFrame(sorted(wanted), schema=["language", "doc_id"], orient="row")
    text = pl.col("text").str.slice(0, _CHARACTERS + 1)
    found = corpus.join(named, on=["language", "doc_id"], how="semi").select("language", "doc_id", "title", text)
    return {
        (language, doc_id): {"title": title or "", "text": text[:_CHARACTERS] + "…" * (len(text) > _CHARACTERS)}
        for language, doc_id, title, text in found.collect(engine="streaming").iter_rows()
    }
