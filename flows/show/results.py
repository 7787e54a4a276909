"""What a person sees of runs: the tables of stages, results and funnels, and runs beside each other."""

import datetime
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from flows.configs import PipelineConfig
from flows.run.pipeline import Pipeline
from flows.run.record import differing, write_value
from flows.show.console import human_seconds, plain_table
from storage import MissingDataset, find, inspect, read, scan
from storage.runs import PIPELINE, Run, RunDataset
from tasks.engine.step import deferred
from tasks.steps import count_copies

significance = deferred("tasks.evaluate.significance")  # loads scipy

_LONG = 16  # cells of a setting and its value in a narrow column
_BESIDE = 3  # systems from which a line has all measures of them; of more there is a block per measure


def stages_table(results: Sequence[RunDataset]) -> Table:
    """Sum a run up, one line per stage and kind of dataset."""
    table = plain_table("Stages", ("stage", "dataset", "partitions"), ("built", "cached", "rows", "seconds"))
    groups: dict[tuple[str, str], list[RunDataset]] = {}
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
            f"{sum(result.rows or 0 for result in group):,}",
            f"{sum(result.seconds for result in group):.1f}",
        )
        previous = stage
    return table


def metrics_table(metrics: Sequence[dict[str, Any]]) -> Table:
    """Lay the means out: a line per language, a column per measure and system; of many systems a block per measure.

    Where train repeats dev queries, a second line leaves these out.
    """
    systems, measures = (list(dict.fromkeys(row[key] for row in metrics)) for key in ("system", "metric"))
    means = {(row["language"], row["metric"], row["system"]): row for row in metrics}
    queries = {row["language"]: (row["num_queries"], row["num_new"]) for row in metrics}
    blocks = [measures] if len(systems) <= _BESIDE else [[name] for name in measures]
    columns = [f"{name}\n{one}" for name in measures for one in systems] if len(blocks) == 1 else systems
    table = plain_table("Results on dev queries", ["language"], ["queries", *columns])
    for names in blocks:
        if len(blocks) > 1:
            table.add_section()
            table.add_row(f"[bold]{names[0]}[/]")
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


def comparison_table(rows: Sequence[dict[str, Any]], reference: str, systems: str = "Trained systems") -> Table:
    """Show variants, or systems, beside each other: mean over seeds, difference to the reference, interval and p."""
    tests = sum(row["p"] is not None for row in rows)
    title = f"{systems} on dev queries, differences to '{reference}'"
    figures = ("seeds", "mean\n± deviation", "difference", "95 % interval", "p\n(Holm)")
    table = plain_table(title, ("metric", "variant"), figures, caption_justify="left")
    table.columns[-2].no_wrap = True
    table.caption = f"p held against all of this table ({tests}); intervals over queries and seeds" if tests else None
    previous = None
    for row in rows:
        if previous not in (None, row["metric"]):
            table.add_section()
        spread = "" if row["deviation"] is None else f"\n± {row['deviation']:.4f}"
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


def runs_table(found: Sequence[Run], latest: Collection[str] = ()) -> Table:
    """List runs, the newest first; of the settings those that differ from the run of this name before.

    Args:
        found: the runs.
        latest: the ids of those whose models are the ones to use.
    """
    table = plain_table(None, ("run", "name", "ago", "state", "asked, changed"), ["nDCG@10\ntrained"])
    for column in table.columns[:4]:
        column.no_wrap = True
    now = datetime.datetime.now(datetime.UTC)
    for place, run in enumerate(found):
        before = next((one for one in found[place + 1 :] if called(one) == called(run)), None)
        changes = differing(before.settings, run.settings) if before else {}
        lines = list(filter(None, [called(run).removeprefix(run.name).removeprefix(", ")]))
        lines += ["model/latest"] if run.id in latest else []
        lines += [_narrow(f"{name} {write_value(value)}") for name, (_, value) in changes.items()]
        colour = {"completed": "green", "running": "yellow"}.get(run.state, "red")
        table.add_row(
            run.id,
            escape(run.name),
            human_seconds((now - datetime.datetime.fromisoformat(run.started_at)).total_seconds()),
            f"[{colour}]{run.state}[/]",
            escape("\n".join(lines if before else [*lines, "the first"])),
            "–" if run.mean() is None else f"{run.mean():.4f}",
        )
    return table


def _narrow(setting: str) -> str:
    """Break a long setting before the last part of its name, where a reader would."""
    name, _, value = setting.partition(" ")
    before, dot, last = name.rpartition(".")
    return setting if len(setting) <= _LONG or not dot else f"{before}.\n{last} {value}"


def called(run: Run) -> str:
    """Call a run by its pipeline's name, and by what was asked of it besides."""
    besides = [run.variant, run.until and f"until {run.until}", None if run.flow == PIPELINE else run.flow]
    return ", ".join([run.name, *filter(None, besides)])


def compare_runs(root: str, compared: Sequence[Run]) -> dict[str, Any]:
    """Set runs beside the first of them.

    Returns:
        `runs`: their ids; `settings`: dotted name -> the values, of those that differ; `funnel`: what became of the
        candidates -> numbers, None where a ledger is not there; `metrics`: as `compare_variants` has them, the variants
        being ids; `note`: what of the metrics is not compared, and why, or None.
    """
    first, *others = compared
    names = dict.fromkeys(name for one in others for name in differing(first.settings, one.settings))
    funnels = [_funnel(root, one) for one in compared]
    steps = sorted({step for funnel in funnels for step in funnel}, key=lambda step: (not step.islower(), step))
    metrics: list[dict[str, Any]] = []
    measured = {(one.id, 0): frame for one in compared if (frame := _measured(root, one)) is not None}
    lacking = [one.id for one in compared if (one.id, 0) not in measured]
    note = f"the store has no measures of a trained system of {', '.join(lacking)}" if lacking else None
    if first.id not in lacking and len(measured) > 1:
        try:
            metrics = significance.compare_variants(measured, reference=first.id)
        except ValueError as error:
            note = str(error)
    return {
        "runs": [one.id for one in compared],
        "settings": {name: [_setting(one, name) for one in compared] for name in names},
        "funnel": {step: [funnel.get(step, 0) if funnel else None for funnel in funnels] for step in steps},
        "metrics": metrics,
        "note": note,
    }


def compare_systems(root: str, run: Run) -> list[dict[str, Any]]:
    """Set a run's systems beside its last, which is the trained one if there is one; returns as `compare_variants`."""
    frames = [read(ref) for one in run.of("metrics") if find(ref := one.ref(root))]
    if len(frames) < 2:
        raise ValueError(f"run {run.id}: expected two systems to compare, got {len(frames)}. Run it to the end.")
    measured = {(frame["system"][0], 0): frame for frame in frames}
    return significance.compare_variants(measured, reference=[*measured][-1][0])  # type: ignore[no-any-return]


def _setting(run: Run, name: str) -> Any:
    value: Any = run.settings
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _funnel(root: str, run: Run) -> dict[str, int]:
    """Count the candidates of a run's last ledgers, by decision and reason; empty where one is not there."""
    ledgers = {one.partition: one.ref(root) for one in run.of("hard_negatives")}
    counts: Counter[str] = Counter()
    try:
        for ref in ledgers.values():
            table = scan(ref).group_by("decision", "reason").len().collect()
            for decision, reason, number in table.iter_rows():
                counts += {"candidates": number, decision: number, f"{decision}: {reason}": number}
    except MissingDataset:
        return {}
    return dict(counts)


def _measured(root: str, run: Run) -> pl.DataFrame | None:
    """Read the measures of a run's trained system; None where there are none."""
    there = [ref for one in run.of("metrics") if find(ref := one.ref(root))]
    frames = [scan(ref).filter(pl.col("system") == "trained").collect() for ref in there]
    return next((frame for frame in frames if not frame.is_empty()), None)


def compared_tables(comparison: Mapping[str, Any], names: Sequence[str]) -> list[RenderableType]:
    """Lay a comparison of runs out, a column per run."""
    shown = list(map(escape, names))
    settings = plain_table("Settings that differ", ["setting", *shown])
    funnel = plain_table("Candidates", ["became"], shown)
    for name, values in comparison["settings"].items():
        settings.add_row(name, *(escape(write_value(value)) for value in values))
    for name, numbers in comparison["funnel"].items():
        funnel.add_row(name.replace("_", " "), *("–" if number is None else f"{number:,}" for number in numbers))
    called = dict(zip(comparison["runs"], names, strict=True))
    rows = [{**row, "variant": called[row["variant"]]} for row in comparison["metrics"]]
    last: list[RenderableType] = [comparison_table(rows, names[0])] if rows else []
    if note := comparison["note"]:
        last.append(f"{'Not' if rows else 'No metrics are'} compared: {escape(note)}.")
    return [settings if settings.row_count else "No setting differs.", *([funnel] if funnel.row_count else []), *last]
