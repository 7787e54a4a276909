"""The command `polyloom`."""

import json
import os
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from flows import carry
from flows import console as show_as
from flows.configs import ConfigError, PipelineConfig, StorageConfig, load_config
from flows.outcome import Outcome
from flows.pipeline import Pipeline
from flows.weave import weave
from storage import MissingDataset, StorageError, inspect, load
from tasks.build import state, sweep
from tasks.stage import deferred
from tasks.train.process import TrainingFailed

run_flow = deferred("flows.run_flow")  # Prefect loads only where something is to be built or recorded

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

Config = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Settings of a pipeline.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="STAGE.KEY=VALUE", help="Change one setting.")]
Until = Annotated[str | None, typer.Option(metavar="STAGE", help="Stop after this stage or step.")]
Refresh = Annotated[list[str] | None, typer.Option(metavar="STAGE", help="Build this stage or step again.")]
To = Annotated[Path, typer.Option(metavar="FOLDER", help="A folder that is not there yet.")]
Root = Annotated[str, typer.Option(envvar="POLYLOOM_ROOT", help="The store: a folder or an fsspec URL.")]


@app.command()
def run(
    config: Config,
    set_: Set = None,
    until: Until = None,
    refresh: Refresh = None,
    json_: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write stages and metrics.")] = None,
) -> None:
    """Build what is missing, take the rest from the store, and show the results."""
    settings = load_config(config, tuple(set_ or ()))
    pipeline = weave(settings).until(until)
    pipeline.check_names(refresh or [])
    outcomes = None if refresh or prefect_api() else _answer_from_store(pipeline, settings)
    if outcomes is None:
        outcomes = run_flow.run(settings, until, refresh or [], out)
    metrics = _metrics(pipeline, settings)
    if json_ is not None:
        answer = {"stages": [outcome.as_json() for outcome in outcomes], "metrics": metrics, "report": None}
        json_.write_text(json.dumps(answer, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    out.print(show_as.stages_table(outcomes))
    if metrics:
        out.print(show_as.metrics_table(metrics))


@app.command()
def plan(config: Config, set_: Set = None, until: Until = None) -> None:
    """Show what would be built, what is cached, and why; run nothing."""
    settings = load_config(config, tuple(set_ or ()))
    root = settings.storage.location
    changed: set[str] = set()
    rows = []
    for planned in weave(settings).until(until).planned:
        step = planned.step
        reason = state(step, root).reason
        waiting = [name for name, entry in step.inputs.items() if entry.fingerprint in changed]
        if reason != "cached":
            changed.add(step.fingerprint)
        elif waiting:
            reason = f"cached, unless {waiting[0]} comes out different"
        rows.append((planned.stage, step.stage.name, step.ref(root), reason))
    out.print(show_as.plan_table(rows))
    out.print(f"{sum(not row[3].startswith('cached') for row in rows)} of {len(rows)} datasets would be built.")


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


def _answer_from_store(pipeline: Pipeline, settings: PipelineConfig) -> list[Outcome] | None:
    """Say what a run would say if everything is in the store, else None."""
    outcomes = []
    for planned in pipeline.planned:
        found = state(planned.step, settings.storage.location)
        if found.manifest is None:
            return None
        sweep(planned.step, settings.storage.location)
        outcomes.append(Outcome.of(planned, found.manifest, "cached"))
    return outcomes


def _metrics(pipeline: Pipeline, settings: PipelineConfig) -> list[dict[str, Any]]:
    """Read the means out of the metrics datasets."""
    root = settings.storage.location
    return [row for step in pipeline.metrics for row in inspect.metrics_means(step.ref(root))]


def prefect_api() -> str | None:
    """Return the URL of the Prefect API that is set up here, in the environment or a profile; loads no Prefect."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    home = Path(os.environ.get("PREFECT_HOME", Path.home() / ".prefect"))
    try:
        profiles = tomllib.loads((home / "profiles.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    active = os.environ.get("PREFECT_PROFILE", profiles.get("active", ""))
    url = profiles.get("profiles", {}).get(active, {}).get("PREFECT_API_URL")
    return str(url) if url else None


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
