"""The call's results as tables of at most 80 columns: ours, theirs, and the floor that the card's arithmetic sets."""

import io
from typing import Any

from rich.console import Console
from rich.table import Table

Lines = list[dict[str, Any]]


def tables(lines: Lines) -> str:
    """Write the tables. A measurement that failed shows its error's first words.

    The floor is what the card would do if it multiplied all the time as fast as it multiplies large bf16 matrices:
    no measured rate.
    """
    text = io.StringIO()
    console = Console(file=text, width=80, highlight=False)
    card = next((line for line in lines if line["what"] == "card"), None)
    peak = card["measured_tflops"] * 1e12 if card and card["published_tflops"] else None
    if card:
        console.print(f"{card['name']}; torch {card['torch']}, transformers {card['transformers']}")
        published = f", published {card['published_tflops']}" if card["published_tflops"] else ""
        console.print(f"large bf16 products: {card['measured_tflops']:.3g} TFLOP/s measured{published}")
    console.print(_rates(lines, peak))
    console.print(_training(lines, peak))
    for line in lines:
        if line["what"] == "chunk" and "milliseconds" in line:
            console.print(f"a tiny chunk, forward and back: {line['milliseconds']:.1f} ms")
    parts = [line for line in lines if line["what"] == "part"]
    console.print("parts: " + ", ".join(f"{one['part']} {one['status'] or 'ok'} ({one['seconds']} s)" for one in parts))
    return text.getvalue()


def _rates(lines: Lines, peak: float | None) -> Table:
    """Return the best batch size of each side."""
    table = Table("per second", "ours", "sentence-tr.", "ratio", "floor", title="the best batch of each")
    flop = {line["what"]: line["flop"] for line in lines if line["what"] in ("documents", "pairs")}
    kinds = [
        ("documents, bf16", "embed", "bf16", flop.get("documents")),
        ("documents, fp32", "embed", "fp32", None),
        ("pairs, bf16", "score", None, flop.get("pairs")),
        ("search, products", "search", None, None),
    ]
    for name, what, dtype, cost in kinds:
        ours, theirs = (_best(lines, what, side, dtype) for side in ("ours", "theirs"))
        ratio = f"{ours / theirs:.2f} x" if isinstance(ours, float) and isinstance(theirs, float) else "–"
        table.add_row(name, _show(ours), _show(theirs), ratio, f"{peak / cost:,.0f}" if peak and cost else "–")
        if what == "embed" and isinstance(ours, float):
            tokens = next(line["tokens_each"] for line in lines if line.get("dtype") == dtype)
            table.add_row("  tokens", *(_show(v * tokens if isinstance(v, float) else v) for v in (ours, theirs)))
    return table


def _best(lines: Lines, what: str, side: str, dtype: str | None) -> float | str:
    found = [line for line in lines if line["what"] == what and line["side"] == side and line.get("dtype") == dtype]
    rates = [line["per_second"] for line in found if "per_second" in line]
    return max(rates) if rates else next((line["error"] for line in found), "not measured")


def _training(lines: Lines, peak: float | None) -> Table:
    table = Table("batch", "mode", "texts", "side", "queries/s", "tokens/s", "of peak", "GB", title="training")
    for line in (line for line in lines if line["what"] == "train"):
        if "error" in line:
            figures = [_show(line["error"])]
        else:
            share = f"{line['flop_per_second'] / peak:.1%}" if peak else "–"
            memory = f"{line['peak_gb']:.1f}" if line["peak_gb"] else "–"
            figures = [_show(line["queries_per_second"]), _show(line["tokens_per_second"]), share, memory]
        table.add_row(str(line["batch"]), line["mode"], line["texts"], line["side"], *figures)
    return table


def _show(value: float | str) -> str:
    if isinstance(value, str):
        return "out of memory" if "memory" in value else value[:40]
    return f"{value:.3g}" if value < 1000 or value >= 1e9 else f"{value:,.0f}"
