"""What a person sees of a bake-off: what each strategy kept and missed, and why it dropped the rest."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from flows.show.console import plain_table

ALL = "all"
Values = dict[str, float]

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
    columns = {"kept": "{kept:,}", "queries\nshort": "{short_queries:,}/{queries:,}"}
    if "planted" in present:
        columns["false\nnegatives\nkept"] = "{planted_kept:,}/{planted:,}"
    shares = {name: f"{{{name}:{digits}}}" for name, digits in _SHARES.items() if name in present}
    columns |= {name.replace("probability", "prob.").replace("_", "\n"): form for name, form in shares.items()}
    return _table(f"Bake-off: what each strategy keeps (where it compares scores: {score})", metrics, columns)


def dropped_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Count the drops by reason."""
    metrics = by_strategy(rows)
    present = dict.fromkeys(name for values in metrics.values() for name in values)
    reasons = [name for name in present if name not in _BESIDE_REASONS]
    columns = {_heading(name): f"{{{name}:,}}" for name in reasons}
    return _table("Why the others are dropped", metrics, {"dropped": "{dropped:,}", **columns})


def _heading(reason: str) -> str:
    """Write a reason in two lines."""
    words = reason.split("_")
    half = len(words) // 2
    return " ".join(words[:half]) + "\n" + " ".join(words[half:])


def _table(title: str, metrics: Mapping[tuple[str, str], Values], columns: Mapping[str, str]) -> Table:
    """Lay formats of values out: a line per language and strategy; a dot where a strategy has no such value."""
    table = plain_table(title, ("language", "strategy"), list(columns), whole=True)
    for language in [*sorted({language for _, language in metrics} - {ALL}), ALL]:
        table.add_section()
        for number, strategy in enumerate(dict.fromkeys(strategy for strategy, _ in metrics)):
            values = metrics[strategy, language]
            cells = [_cell(form, values) for form in columns.values()]
            table.add_row("" if number else language, strategy, *cells)
    return table


def _cell(form: str, values: Values) -> str:
    try:
        return form.format_map(values)
    except KeyError:
        return "·"
