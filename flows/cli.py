"""The command `polyloom`."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from flows import carry
from flows import console as show_as
from flows.bake_off_table import dropped_table, kept_table
from flows.configs import ConfigError, PipelineConfig, StorageConfig, load_config
from flows.estimate import estimate
from flows.explain import datasets_of
from flows.explain import explain as gather
from flows.explain_view import explanation
from flows.grid import list_cells, load_grid
from flows.grid_results import compare, missing_cells, per_cell
from flows.outcome import Outcome
from flows.pipeline import Pipeline
from flows.prefect_api import prefect_api
from flows.weave import weave
from flows.weave_bake_off import STRATEGIES, check_scores, weave_bake_off
from storage import MissingDataset, StorageError, inspect, load
from tasks.build import state
from tasks.stage import deferred
from tasks.train.process import TrainingFailed

run_flow = deferred("flows.run_flow")  # Prefect loads only where something is to be built or recorded

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

Config = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Settings of a pipeline.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="STAGE.KEY=VALUE", help="Change one setting.")]
Until = Annotated[str | None, typer.Option(metavar="STAGE", help="Stop after this stage or step.")]
Refresh = Annotated[list[str] | None, typer.Option(metavar="STAGE", help="Build this stage or step again.")]
To = Annotated[Path, typer.Option(metavar="FOLDER", help="A folder that is not there yet.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the answer as JSON, too.")]
Root = Annotated[str, typer.Option(envvar="POLYLOOM_ROOT", help="The store: a folder or an fsspec URL.")]


@app.command()
def run(
    config: Config,
    set_: Set = None,
    until: Until = None,
    refresh: Refresh = None,
    json_: Json = None,
) -> None:
    """Build what is missing, take the rest from the store, and show the results."""
    settings = load_config(config, tuple(set_ or ()))
    pipeline = weave(settings).until(until)
    pipeline.check_names(refresh or [])
    outcomes = None if refresh or prefect_api() else Outcome.of_stored(pipeline, settings.storage.location)
    if outcomes is None:
        outcomes = run_flow.run(settings, until, refresh or [], out)
    metrics = _metrics(pipeline, settings)
    stages = [outcome.as_json() for outcome in outcomes]
    _write_json(json_, {"stages": stages, "metrics": metrics, "report": None})
    out.print(show_as.stages_table(outcomes))
    if metrics:
        out.print(show_as.metrics_table(metrics))


@app.command()
def plan(config: Config, set_: Set = None, until: Until = None) -> None:
    """Show what would be built, what is cached, and why, and what it would cost; run nothing."""
    settings = load_config(config, tuple(set_ or ()))
    root = settings.storage.location
    changed: set[str] = set()
    rows, missing = [], []
    for planned in weave(settings).until(until).planned:
        step = planned.step
        reason = state(step, root).reason
        waiting = [name for name, entry in step.inputs.items() if entry.fingerprint in changed]
        if reason != "cached":
            changed.add(step.fingerprint)
            missing.append(step)
        elif waiting:
            reason = f"cached, unless {waiting[0]} comes out different"
        rows.append((planned.stage, step.stage.name, step.ref(root), reason))
    out.print(show_as.plan_table(rows))
    if missing:
        estimates = estimate(missing, root, settings.resources)
        out.print(show_as.estimate_table(estimates))
        out.print("\n".join(show_as.estimate_lines(estimates)), highlight=False)
    out.print(f"{len(missing)} of {len(rows)} datasets would be built.")


@app.command()
def ablation(
    grid: Annotated[Path, typer.Argument(metavar="GRID.yaml", help="A configuration and its variants.")],
    set_: Set = None,
    variant: Annotated[list[str] | None, typer.Option(help="Only this variant.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this seed.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write means and comparison.")] = None,
) -> None:
    """Train and measure variants of a configuration, with all they share built once, and compare them."""
    described = load_grid(grid)
    cells = list_cells(
        described, grid, overrides=tuple(set_ or ()), variants=tuple(variant or ()), seeds=tuple(seed or ())
    )
    todo = cells if prefect_api() else missing_cells(cells)
    rows = run_flow.run_grid(todo, cells, described.reference, out) if todo else compare(cells, described.reference)
    if json_ is not None:
        answer = {"reference": described.reference, "comparison": rows, "means": per_cell(cells)}
        json_.write_text(json.dumps(answer, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    out.print(show_as.comparison_table(rows, described.reference))


@app.command("bake-off")
def bake_off(
    config: Config,
    set_: Set = None,
    strategy: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this strategy; may be repeated.")
    ] = None,
    json_: Json = None,
) -> None:
    """Select by every strategy over the stored scores, and compare what each keeps, drops and misses; runs no model."""
    settings = load_config(config, tuple(set_ or ()))
    names = tuple(strategy or STRATEGIES)
    pipeline = weave_bake_off(settings, names)
    check_scores(pipeline, settings.storage.location)
    outcomes = None if prefect_api() else Outcome.of_stored(pipeline, settings.storage.location)
    if outcomes is None:
        outcomes = run_flow.run_bake_off(settings, list(names), out)
    found = inspect.rows(pipeline.planned[-1].step.ref(settings.storage.location))
    _write_json(json_, {"stages": [outcome.as_json() for outcome in outcomes], "bake_off": found})
    out.print(kept_table(found, settings.denoise.score), dropped_table(found), sep="\n\n")


@app.command()
def ls(
    kind: Annotated[str | None, typer.Argument(help="Only this kind of dataset.")] = None, root: Root = "data"
) -> None:
    """List the datasets of a store."""
    found = list(inspect.datasets(_location(root), kind))
    out.print(show_as.datasets_table(found))
    out.print(f"{len(found)} datasets, {show_as.human_bytes(sum(manifest.bytes for _, manifest in found))}")


@app.command()
def show(
    dataset: Annotated[
        str, typer.Argument(help="kind, kind/partition (the newest), kind/partition/finger…, or a path.")
    ],
    head: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 10,
    schema: Annotated[bool, typer.Option("--schema", help="Columns, settings and cost.")] = False,
    lineage: Annotated[bool, typer.Option("--lineage", help="What it was made from.")] = False,
    sql: Annotated[str | None, typer.Option(help="A query; the table is called by the dataset's kind.")] = None,
    root: Root = "data",
) -> None:
    """Look into one dataset: its first rows, its schema, its lineage, or the answer to a query."""
    ref = inspect.resolve(_location(root), dataset)
    if lineage:
        out.print(show_as.lineage_tree(inspect.lineage(ref)))
    elif schema:
        content = load(ref).model_dump(mode="json", exclude={"parts", "files", "inputs"})
        out.print_json(json.dumps(content, ensure_ascii=False))
    else:
        frame = inspect.query(ref, sql or f"SELECT * FROM self LIMIT {head}")
        out.print(f"[bold]{ref}[/], {load(ref).rows:,} rows, in {ref.uri}")
        out.print(show_as.frame_table(frame))


@app.command()
def explain(
    query_id: Annotated[str, typer.Argument(metavar="QUERY_ID", help="Of any split.")],
    config: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG.yaml", help="Of this pipeline. Without it: of the newest batch plan or ledger."),
    ] = None,
    set_: Set = None,
    language: Annotated[list[str] | None, typer.Option(help="Where several languages have the id.")] = None,
    json_: Json = None,
    root: Root = "data",
) -> None:
    """Show one query through every stage: ranks, scores, decisions, batches, result."""
    settings = load_config(config, tuple(set_ or ())) if config else None
    where = settings.storage.location if settings else _location(root)
    languages = language or (settings.languages if settings else ())
    entries = gather(where, query_id, languages, datasets_of(settings) if settings else None)
    _write_json(json_, {"entries": entries})
    for entry in entries:
        out.print(explanation(entry))


@app.command()
def export(config: Config, to: To, set_: Set = None) -> None:
    """Copy the finished model out of the store: weights, tokenizer, sentence-transformers' files and model card."""
    carry.export_model(load_config(config, tuple(set_ or ())), to)
    out.print(f"The model is in {escape(str(to))}.")


@app.command()
def pack(config: Config, to: To, set_: Set = None) -> None:
    """Copy all that the training reads, with its code, to train on another machine."""
    carry.pack_training(load_config(config, tuple(set_ or ())), to)
    out.print(
        f"Copy {escape(str(to))} to the machine, run `sh train.sh` there, bring its folder `out` back, and run this "
        "configuration with --set train.result=<that folder>."
    )


def _location(root: str) -> str:
    return StorageConfig(root=root).location


def _metrics(pipeline: Pipeline, settings: PipelineConfig) -> list[dict[str, Any]]:
    """Read the means out of the metrics datasets."""
    root = settings.storage.location
    return [row for step in pipeline.metrics for row in inspect.metrics_means(step.ref(root))]


def _write_json(path: Path | None, answer: dict[str, Any]) -> None:
    if path is not None:
        path.write_text(json.dumps(answer, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


out = Console()
err = Console(stderr=True)


def main() -> None:
    """Run the command; what a user can cause ends in one clear line, not in a traceback."""
    try:
        app()
    except (ConfigError, MissingDataset, StorageError, TrainingFailed, ValueError, FileNotFoundError) as error:
        if os.environ.get("POLYLOOM_TRACEBACK"):
            raise
        err.print(f"[bold red]polyloom:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
