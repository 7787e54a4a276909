"""What a person sees on the terminal: the tables of stages, results, plans and datasets."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from flows.configs import PipelineConfig
from flows.run.pipeline import BuildResult, Pipeline
from flows.show.estimate import Estimate
from flows.show.terminal import visible
from storage import DatasetRef, Manifest, inspect
from tasks.engine.step import Promise
from tasks.models.prompts import describe
from tasks.steps import count_copies

SYSTEMS = ("bm25", "untrained", "trained")
_NARROWEST = 10  # characters that a column of `frame_table` needs to be read


def human_bytes(number: float) -> str:
    """Write a number of bytes for people: 12.3 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def stages_table(results: Sequence[BuildResult]) -> Table:
    """Sum a run up, one line per stage and kind of dataset."""
    table = plain_table("Stages")
    for name in ("stage", "dataset", "partitions"):
        table.add_column(name)
    for name in ("built", "cached", "rows", "seconds"):
        table.add_column(name, justify="right")
    groups: dict[tuple[str, str], list[BuildResult]] = {}
    for result in results:
        groups.setdefault((result.stage, result.kind), []).append(result)
    previous = None
    for (stage, kind), group in groups.items():
        built = sum(result.status == "built" for result in group)
        partitions = sorted({result.partition for result in group})
        table.add_row(
            stage if stage != previous else "",
            kind,
            " ".join(partitions) if len(partitions) <= 6 else f"{len(partitions)} languages",
            f"[green]{built}[/]" if built else "·",
            str(len(group) - built) if len(group) > built else "·",
            f"{sum(result.rows for result in group):,}",
            f"{sum(result.seconds for result in group):.1f}",
        )
        previous = stage
    return table


def metrics_table(metrics: Sequence[dict[str, Any]]) -> Table:
    """Lay the means out: one line per language, one column per measure and system.

    Where train repeats dev queries, a second line leaves these out.
    """
    systems = [name for name in SYSTEMS if any(row["system"] == name for row in metrics)]
    names = list(dict.fromkeys(row["metric"] for row in metrics))
    means = {(row["language"], row["metric"], row["system"]): row for row in metrics}
    queries = {row["language"]: (row["num_queries"], row["num_new"]) for row in metrics}
    table = plain_table("Results on dev queries")
    table.add_column("language")
    table.add_column("queries", justify="right")
    for name in names:
        for system in systems:
            table.add_column(f"{name}\n{system}", justify="right")
    for language in [*sorted(set(queries) - {"all"}), "all"]:
        if language == "all":
            table.add_section()
        called, (num_queries, num_new) = ("mean" if language == "all" else language), queries[language]
        found = [[means.get((language, name, system), {}) for system in systems] for name in names]
        table.add_row(called, str(num_queries), *_cells(found, "value"))
        if num_new < num_queries:
            table.add_row(f"{called}, not in train", str(num_new), *_cells(found, "new_value"))
    return table


def result_notes(pipeline: Pipeline, config: PipelineConfig) -> list[str]:
    """Say what else bears on the results: hits that do not count, documents that nobody judged for what they are."""
    notes = []
    if config.ignores_own_document and pipeline.metrics:
        notes.append("A document with the query's own id is no hit (evaluate.ignore_own_document).")
    counts = [promise.ref(config.storage.location) for promise in pipeline.promises if promise.step is count_copies]
    copies = [row for ref in counts for row in inspect.rows(ref) if row["num_copies"]]
    if copies:
        counted = ", ".join(f"{row['language']} {row['num_copies']:,} of {row['num_documents']:,}" for row in copies)
        notes.append(f"Documents that repeat another's text, and are a miss where they are not judged: {counted}.")
    return notes


def _cells(found: Sequence[Sequence[dict[str, Any]]], column: str) -> list[str]:
    """Write the values of each measure's systems, the best bold."""
    cells = []
    for rows in found:
        values = [row.get(column) for row in rows]
        best = max((value for value in values if value is not None), default=None)
        cells += ["–" if v is None else f"[bold]{v:.4f}[/]" if v == best else f"{v:.4f}" for v in values]
    return cells


def comparison_table(rows: Sequence[dict[str, Any]], reference: str) -> Table:
    """Show an ablation's variants beside each other: mean over seeds, difference to the reference, interval and p."""
    table = plain_table(f"Trained systems on dev queries, differences to '{reference}'")
    for name in ("metric", "variant"):
        table.add_column(name, no_wrap=True)
    for name in ("seeds", "mean\n± deviation", "difference", "95 % interval", "p\n(Holm)"):
        table.add_column(name, justify="right")
    previous = None
    for row in rows:
        if previous not in (None, row["metric"]):
            table.add_section()
        spread = "" if row["deviation"] is None else f" ± {row['deviation']:.4f}"
        table.add_row(
            row["metric"] if row["metric"] != previous else "",
            escape(row["variant"]),
            str(row["num_seeds"]),
            f"{row['mean']:.4f}{spread}",
            "" if row["difference"] is None else f"{row['difference']:+.4f}",
            "" if row["low"] is None else f"{row['low']:+.4f} … {row['high']:+.4f}",
            "" if row["p_holm"] is None else f"{row['p_holm']:.3f}",
        )
        previous = row["metric"]
    return table


def plain_table(title: str | None = None, **style: Any) -> Table:
    """Begin a table without rules between columns: a run's tables fit a terminal of 80 columns."""
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True, **style)


def plan_table(rows: Iterable[tuple[str, str, DatasetRef, str]]) -> Table:
    """Show what would be built: stage, step, dataset, state."""
    table = plain_table("Plan")
    for name in ("stage", "step", "dataset", "state"):
        table.add_column(name)
    previous = None
    for stage, step, ref, reason in rows:
        state = escape(reason) if reason.startswith("cached") else f"[green]build[/]: {escape(reason)}"
        table.add_row(stage if stage != previous else "", step, str(ref), state)
        previous = stage
    return table


def encoder_lines(promises: Iterable[Promise]) -> list[str]:
    """Say of each encoder how its texts are prepared, and by whose word."""
    configs = [promise.arguments["config"] for promise in promises if promise.step.name == "prepare_encoder"]
    return list(dict.fromkeys(describe(config.model, **config.text_settings()) for config in configs))


def estimate_table(estimates: Sequence[Estimate]) -> Table:
    """Sum up what a run would cost, one line per step; `?`: nothing in the store says."""
    table = plain_table("Estimate, from earlier builds in this store")
    table.add_column("step", no_wrap=True)
    for name in ("datasets", "rows", "vectors", "memory", "time"):
        table.add_column(name, justify="right", no_wrap=True)
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
    table = plain_table()
    table.add_column("dataset")
    for name in ("rows", "size", "seconds", "peak memory"):
        table.add_column(name, justify="right")
    table.add_column("built at (UTC)")
    for ref, manifest in found:
        table.add_row(
            str(ref),
            f"{manifest.rows:,}",
            human_bytes(manifest.bytes),
            f"{manifest.seconds:.1f}",
            human_bytes(manifest.peak_memory_bytes),
            manifest.created_at[:19].replace("T", " "),
        )
    return table


def lineage_tree(rows: Sequence[tuple[int, str, Manifest | None]]) -> Tree:
    """Draw a dataset's ancestors; each stands once, below the first dataset that uses it."""
    trees: list[Tree] = []
    for depth, name, manifest in rows:
        text = f"{name}: gone" if manifest is None else _line(name, manifest)
        tree = trees[depth - 1].add(text) if depth else Tree(text)
        trees[depth:] = [tree]
    return trees[0]


def _line(name: str, manifest: Manifest) -> str:
    ref = f"{manifest.kind}/{manifest.partition}/{manifest.fingerprint[:12]}"
    return f"[bold]{name}[/] {ref} [dim]{manifest.step}, {manifest.rows:,} rows[/]"


def frame_table(frame: pl.DataFrame, room: int, width: int = 60) -> Table:
    """Show rows; long texts are cut, and rows of more columns than the room has place for stand one under another."""
    table = Table()
    if frame.width * _NARROWEST > room:
        table.add_column("column", no_wrap=True)
        table.add_column("value", overflow="fold")
        for record in frame.iter_rows(named=True):
            for name, value in record.items():
                table.add_row(name, _cut(value, width))
            table.add_section()
        return table
    for name in frame.columns:
        table.add_column(name, overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*[_cut(value, width) for value in row])
    return table


def _cut(value: object, width: int) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else visible(str(value))
    return escape(text if len(text) <= width else f"{text[: width - 1]}…")
