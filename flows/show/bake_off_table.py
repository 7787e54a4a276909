"""What a person sees of a bake-off: what each strategy kept and missed, and why it dropped the rest."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rich.table import Table

from flows.show.console import plain_table

ALL = "all"
Values = dict[str, float]
Cell = Callable[[Values], str]

_SHARES = {"mean_rank": ".1f", "mean_probability": ".3f", "recall": ".3f", "precision": ".3f"}
_BESIDE_REASONS = {  # the other metrics; what is left of a bake-off's rows are reasons
    *_SHARES,
    *("queries", "short_queries", "candidates", "kept", "dropped"),
    *("planted", "planted_found", "planted_kept"),
    *("safe", "judged_not_relevant"),  # reasons of what is kept
}


def by_strategy(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Values]:
    """Gather the rows of a `bake_off` dataset: (strategy, language) -> metric -> value; counts are whole numbers."""
    metrics: dict[tuple[str, str], Values] = {}
    for row in rows:
        value = row["value"] if row["metric"] in _SHARES else int(row["value"])
        metrics.setdefault((row["strategy"], row["language"]), {})[row["metric"]] = value
    return metrics


def kept_table(rows: Sequence[Mapping[str, Any]], score: str) -> Table:
    """Say how much each strategy kept, how hard that is, and what of it is wrong where the truth is known.

    Args:
        rows: of the `bake_off` dataset.
        score: which one the strategies that compare scores compared, for the title.
    """
    metrics = by_strategy(rows)
    present = {name for values in metrics.values() for name in values}
    title = f"Bake-off: what each strategy keeps (where it compares scores: {score})"
    columns: dict[str, Cell] = {
        "candidates": partial(_count, name="candidates"),
        "kept": partial(_count, name="kept"),
        "queries\nshort": partial(_of, part="short_queries", whole="queries"),
    }
    if "planted" in present:
        columns["false negatives\nkept"] = partial(_of, part="planted_kept", whole="planted")
    for name in [name for name in _SHARES if name in present]:
        columns[name.replace("_", "\n")] = partial(_share, name=name)
    return _table(title, metrics, columns)


def dropped_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Count the drops by reason."""
    metrics = by_strategy(rows)
    present = dict.fromkeys(name for values in metrics.values() for name in values)
    reasons = [name for name in present if name not in _BESIDE_REASONS]
    columns: dict[str, Cell] = {_heading(name): partial(_count, name=name) for name in reasons}
    return _table("Why the others are dropped", metrics, {"dropped": partial(_count, name="dropped"), **columns})


def _table(title: str, metrics: Mapping[tuple[str, str], Values], columns: Mapping[str, Cell]) -> Table:
    table = plain_table(title)
    table.add_column("language")
    table.add_column("strategy")
    for heading in columns:
        table.add_column(heading, justify="right")
    languages = [*sorted({language for _, language in metrics} - {ALL}), ALL]
    for language in languages:
        table.add_section()
        for number, strategy in enumerate(dict.fromkeys(strategy for strategy, _ in metrics)):
            cells = [write(metrics[strategy, language]) for write in columns.values()]
            table.add_row("" if number else language, strategy, *cells)
    return table


def _heading(reason: str) -> str:
    """Write a reason in two lines."""
    words = reason.split("_")
    half = len(words) // 2
    return " ".join(words[:half]) + "\n" + " ".join(words[half:])


def _count(values: Values, name: str) -> str:
    return f"{values[name]:,}" if name in values else "·"


def _share(values: Values, name: str) -> str:
    return format(values[name], _SHARES[name]) if name in values else "–"


def _of(values: Values, part: str, whole: str) -> str:
    return f"{_count(values, part)} of {_count(values, whole)}"
