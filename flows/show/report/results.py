"""Metrics -> results per language: means, differences with intervals and tests, wins and losses; and the verdict."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl

from tasks.evaluate.significance import ALL, Doubles, holm, stratified_interval, stratified_test

Row = dict[str, Any]
Key = tuple[str, str]
_SURE = 0.05
_EQUAL = 1e-9  # values of two systems that differ by rounding alone are a tie


def results(frames: Mapping[str, pl.DataFrame]) -> dict[str, list[Row]]:
    """Compare systems, query by query.

    Args:
        frames: system -> rows of its metrics dataset, of the same queries each.

    Returns:
        metric -> a row per language, and `all` last: language, num_queries, systems (system -> value, low, high), pairs
        ((later system, earlier one) -> value, the mean difference, low, high, p, p_holm, held against all tests of the
        metric, wins, ties, losses).
    """
    metrics = dict.fromkeys(name for frame in frames.values() for name in frame["metric"])
    found = {metric: _of_metric(frames, metric) for metric in metrics}
    for table in found.values():
        _hold(table)
    return found


def since(now: Mapping[str, pl.DataFrame], before: Mapping[str, pl.DataFrame], metric: str) -> dict[Key, Row]:
    """Compare systems with what they were in an earlier run, query by query.

    Args:
        now: system -> rows of its metrics dataset.
        before: the same of the earlier run.
        metric: which.

    Returns:
        (language or `all`, system) -> value, low, high, p, p_holm and counts as in `results`; only languages of which
        both runs have measured the same queries, and `all` where that is so of all.
    """
    rows: dict[Key, Row] = {}
    for system in [name for name in now if name in before]:
        of_metric = (pl.col("metric") == metric) & (pl.col("query_id") != ALL)
        new, old = (frame.filter(of_metric).sort("language", "query_id") for frame in (now[system], before[system]))
        asked, known = (dict(frame.group_by("language").agg("query_id").iter_rows()) for frame in (new, old))
        same = [language for language in asked if asked[language] == known.get(language)]
        if same:
            frames = {name: one.filter(pl.col("language").is_in(same)) for name, one in (("before", old), ("now", new))}
            table = _of_metric(frames, metric)
            rows |= {(row["language"], system): row for row in table[: None if len(same) == len(asked | known) else -1]}
    _hold([*rows.values()])
    return {key: row["pairs"]["now", "before"] for key, row in rows.items()}


def _of_metric(frames: Mapping[str, pl.DataFrame], metric: str) -> list[Row]:
    values: dict[str, dict[str, Doubles]] = {}
    for system, frame in frames.items():
        asked = frame.filter((pl.col("metric") == metric) & (pl.col("query_id") != ALL)).sort("language", "query_id")
        for (language,), rows in asked.group_by("language", maintain_order=True):
            values.setdefault(str(language), {})[system] = rows["value"].to_numpy()
    table = [_row(language, [of_language]) for language, of_language in values.items()]
    table.append(_row(ALL, list(values.values())))
    return table


def _hold(table: Sequence[Row]) -> None:
    """Hold each p of a table against all of them."""
    tested = [pair for row in table for pair in row["pairs"].values() if pair["p"] is not None]
    for pair, p in zip(tested, holm([pair["p"] for pair in tested]), strict=True):
        pair["p_holm"] = p


def _row(language: str, strata: Sequence[Mapping[str, Doubles]]) -> Row:
    """Describe one language, or all together: each counts alike."""
    names = [system for system in strata[0] if all(system in one for one in strata)]
    pairs = {}
    for one, other in combinations(reversed(names), 2):
        differences = [of_system[one] - of_system[other] for of_system in strata]
        gap = np.concatenate(differences)
        wins, losses = int((gap > _EQUAL).sum()), int((gap < -_EQUAL).sum())
        counts = {"wins": wins, "ties": len(gap) - wins - losses, "losses": losses}
        pairs[one, other] = _mean(differences) | {"p": stratified_test(differences)[1], "p_holm": None} | counts
    return {
        "language": language,
        "num_queries": sum(max(map(len, one.values())) for one in strata),
        "systems": {name: _mean([one[name] for one in strata]) for name in names},
        "pairs": pairs,
    }


def _mean(strata: Sequence[Doubles]) -> dict[str, float]:
    low, high = stratified_interval(strata)
    return {"value": (low + high) / 2, "low": low, "high": high}


def verdict(table: Mapping[str, Sequence[Row]]) -> str:
    """Say in a sentence how the last system does against the first, by the first metric."""
    metric, (*languages, overall) = next(iter(table.items()))
    names = list(overall["systems"])
    if len(names) < 2:
        return f"Only {label(names[0])} was measured: there is nothing to compare it with."
    key = (names[-1], names[0])
    mean = overall["pairs"][key]
    way, verb = (-1, "loses to") if mean["value"] < -_EQUAL else (1, "beats")
    told = [row["pairs"][key] for row in languages if way * row["pairs"][key]["value"] > _EQUAL]
    few = "only " if 2 * len(told) < len(languages) else ""
    number = f"{few}{len(told)} of {len(languages)}" if told else f"none of {len(languages)}"
    chance = f" ({sum(map(is_sure, told)) or 'none'} beyond chance)" if told else ""
    low, high = (signed(mean[name]).removeprefix("+") for name in ("low", "high"))
    doubt = "" if is_sure(mean) else ", which may be chance"
    figures = f"mean {metric} {signed(mean['value'])} [{low}, {high}]{doubt}"
    text = f"{label(key[0])} {verb} {label(key[1])} in {number} languages{chance}, {figures}."
    return text[0].upper() + text[1:]


def holes(runs: pl.LazyFrame, qrels: pl.LazyFrame) -> dict[str, float]:
    """Return each language's share of documents in the first ten that nobody judged, and `all`: their mean."""
    keys = ["language", "query_id", "doc_id"]
    judged = qrels.select(*keys, judged=pl.lit(1)).unique()
    shares = runs.filter(pl.col("rank") <= 10).join(judged, on=keys, how="left").group_by("language")
    found = dict(shares.agg(pl.col("judged").is_null().mean()).sort("language").collect().iter_rows())
    return found | {ALL: fmean(found.values())} if found else {}


def is_sure(pair: Row) -> bool:
    """Say whether a difference is beyond chance, held against all tests of its table."""
    return pair["p_holm"] is not None and pair["p_holm"] < _SURE


def label(system: str) -> str:
    """Write a system's name for people."""
    return "BM25" if system == "bm25" else system


def figure(value: float | None) -> str:
    """Write a measure as the field does: .631."""
    return "–" if value is None else f"{value:.3f}".replace("0.", ".", 1) if 0 <= value < 1 else f"{value:.3f}"


def signed(value: float) -> str:
    """Write a difference: +.031, −.002."""
    return ("−" if round(value, 3) < 0 else "+") + figure(abs(value))
