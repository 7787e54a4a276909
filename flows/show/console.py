"""What a person sees on the terminal: the tables of stages, results, plans and datasets."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from flows.show.estimate import Estimate
from storage import DatasetRef, Manifest
from tasks.engine.step import Promise
from tasks.models.prompts import describe


def human_bytes(number: float) -> str:
    """Write a number of bytes for people: 12.3 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


class Cells(NamedTuple):
    """A table without a terminal's markup, for pages."""

    title: str
    names: list[str]
    rows: list[list[str]]
    are_figures: list[bool]
    """Of each column."""
    caption: str


def cells(table: Table) -> Cells:
    """Take a table apart."""
    columns = [
        [Text.from_markup(one).plain.replace("\n", " ") for one in map(str, each.cells)] for each in table.columns
    ]
    names = [str(each.header).replace("\n", " ") for each in table.columns]
    rows = [list(row) for row in zip(*columns, strict=True)]
    figures = [each.justify == "right" for each in table.columns]
    return Cells(str(table.title), names, rows, figures, str(table.caption or ""))


def as_markdown(table: Table) -> str:
    """Write a table in Markdown, for the Prefect UI."""
    taken = cells(table)
    lines = [[one.replace("|", "\\|") for one in row] for row in [taken.names, ["---"] * len(taken.names), *taken.rows]]
    return "\n".join([f"**{taken.title}**", "", *(f"| {' | '.join(line)} |" for line in lines), "", taken.caption])


def plain_table(
    title: str | None = None, left: Sequence[str] = (), right: Sequence[str] = (), *, whole: bool = False, **style: Any
) -> Table:
    """Begin a table without rules between columns: a run's tables fit a terminal of 80 columns.

    Args:
        title: above it.
        left: the first columns, of words: what does not fit is folded.
        right: the columns after them, of figures.
        whole: no word is ever folded.
        style: as `rich.table.Table` has it.
    """
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, **style)
    for name in left:
        table.add_column(name, overflow="fold", no_wrap=whole)
    for name in right:
        table.add_column(name, justify="right", no_wrap=whole)
    return table


_TAKEN_OVER = re.compile(r"([\d,]+) (rows[^()]*) \(\S+\)$")  # at the end of a reason


def build_table(rows: Iterable[tuple[str, str, DatasetRef, str]]) -> Table:
    """Sum up what would be built, inputs first: stage, step and reason, and of which languages."""
    groups: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for stage, step, ref, reason in rows:
        if not reason.startswith("cached"):
            shared = _TAKEN_OVER.sub(r"# \2", reason.replace(f".{ref.partition} ", " "))
            groups.setdefault((stage, step, shared), []).append((ref.partition, reason))
    table = plain_table("To build, in this order", ("step", "of", "because"))
    table.columns[0].no_wrap = table.columns[1].no_wrap = True
    stages: set[str] = set()
    for (stage, step, shared), found in groups.items():
        _begin_stage(table, stage, stages)
        partitions = sorted({partition for partition, _ in found})
        of = " ".join(partitions) if len(partitions) <= 3 else f"{len(partitions)} languages"
        taken = [int(over[1].replace(",", "")) for _, reason in found if (over := _TAKEN_OVER.search(reason))]
        because = shared.replace("# rows", f"{sum(taken):,} rows") if len(found) > 1 else found[0][1]
        table.add_row(f"  {step}", of, escape(because))
    return table


def plan_table(rows: Iterable[tuple[str, str, DatasetRef, str]]) -> Table:
    """Show what would be built: stage, dataset, state."""
    table, stages = plain_table("Plan", ("dataset", "state")), set[str]()
    table.columns[0].no_wrap = True
    for stage, _, ref, reason in rows:
        _begin_stage(table, stage, stages)
        state = escape(reason) if reason.startswith("cached") else f"[green]build[/]: {escape(reason)}"
        table.add_row(f"  {ref.kind}/{ref.partition}/{ref.fingerprint[:8]}", state)
    return table


def _begin_stage(table: Table, stage: str, before: set[str]) -> None:
    if stage not in before:
        before.add(stage)
        table.add_row(f"[bold]{stage}[/]")


def encoder_lines(promises: Iterable[Promise]) -> list[str]:
    """Say of each encoder how its texts are prepared, and by whose word."""
    configs = [promise.arguments["config"] for promise in promises if promise.step.name == "prepare_encoder"]
    return list(dict.fromkeys(describe(config.model, **config.text_settings()) for config in configs))


def estimate_table(estimates: Sequence[Estimate]) -> Table:
    """Sum up what a run would cost, one line per step; `?`: nothing in the store says."""
    title = "Estimate, from earlier builds in this store"
    table = plain_table(title, ["step"], ("datasets", "rows", "vectors", "memory", "time"), whole=True)
    for step in dict.fromkeys(one.step for one in estimates):
        group = [one for one in estimates if one.step == step]
        peaks = [one.peak_memory for one in group if one.peak_memory is not None]
        table.add_row(
            step,
            str(len(group)),
            _total([one.rows for one in group], lambda rows: f"{rows:,.0f}"),
            "" if all(one.vector_bytes == 0 for one in group) else _total([v.vector_bytes for v in group], human_bytes),
            human_bytes(max(peaks)) if peaks else "?",
            _total([one.seconds for one in group], human_seconds),
        )
    return table


def estimate_lines(estimates: Sequence[Estimate]) -> list[str]:
    """Say the estimate's three figures, and what is missing from them."""
    vectors = _total([one.vector_bytes for one in estimates if one.vector_bytes != 0], human_bytes)
    seconds = _total([one.seconds for one in estimates], human_seconds)
    heaviest = max((one for one in estimates if one.peak_memory), key=lambda one: one.peak_memory or 0, default=None)
    lines = [f"Vectors: {vectors}"] if any(one.vector_bytes != 0 for one in estimates) else []
    if heaviest:
        lines.append(f"Peak memory: about {human_bytes(heaviest.peak_memory or 0)} ({heaviest.step})")
    if seconds == "?":
        return [*lines, "Time: ?, until this store holds earlier builds to go by"]
    besides = "; no earlier build here tells what ? and > stand for" if seconds.startswith(">") else ""
    return [*lines, f"Time: {seconds}, one step at a time{besides}"]


def human_seconds(number: float) -> str:
    """Write a time for people: 12 s, 3 min, 2.5 h."""
    for limit, divisor, unit in ((100, 1, "s"), (6000, 60, "min"), (360_000, 3600, "h")):
        if number < limit:
            return f"{number / divisor:.{1 if unit == 'h' else 0}f} {unit}"
    return f"{number / 86_400:.1f} days"


def _total(numbers: Sequence[float | None], write: Callable[[float], str]) -> str:
    known = [number for number in numbers if number is not None]
    return f"{'' if len(known) == len(numbers) else '> '}{write(sum(known))}" if known else "?"


def datasets_table(found: Iterable[tuple[DatasetRef, Manifest]]) -> Table:
    """List datasets with what they hold and cost."""
    table = plain_table(None, ["dataset"], ("rows", "size", "seconds", "peak\nmemory", "built (UTC)"), whole=True)
    for ref, manifest in found:
        table.add_row(
            f"{ref.kind}/{ref.partition}/{ref.fingerprint[:8]}",
            f"{manifest.rows:,}",
            human_bytes(manifest.bytes),
            f"{manifest.seconds:.1f}",
            human_bytes(manifest.peak_memory_bytes),
            manifest.created_at[5:16].replace("T", " "),
        )
    return table


def lineage_tree(rows: Sequence[tuple[int, str, Manifest | str]]) -> Tree:
    """Draw a dataset's ancestors; each stands once, below the first dataset that uses it."""
    trees: list[Tree] = []
    for depth, name, manifest in rows:
        text = f"{name}: {manifest}" if isinstance(manifest, str) else _line(name, manifest)
        tree = trees[depth - 1].add(text) if depth else Tree(text)
        trees[depth:] = [tree]
    return trees[0]


def _line(name: str, manifest: Manifest) -> str:
    ref = f"{manifest.kind}/{manifest.partition}/{manifest.fingerprint[:12]}"
    return f"[bold]{name}[/] {ref} [dim]{manifest.step}, {manifest.rows:,} rows[/]"
