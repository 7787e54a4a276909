"""The command `polyloom`."""

import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from flows.cli import carry
from flows.cli.adopt import adopt
from flows.cli.care import diff, doctor, gc, verify
from flows.cli.check import check, init, say_separable
from flows.cli.compare import ablation, bake_off
from flows.cli.look import explain, ls, show
from flows.cli.options import Config, Json, LastGood, Set, out, write_json
from flows.cli.report import report
from flows.cli.run_flow import run_flow
from flows.cli.runs import compare, latest, runs
from flows.cli.try_model import encode, search
from flows.configs import PipelineConfig, load_config
from flows.run import gate
from flows.run.api import PrefectUnavailable, setting
from flows.run.mendable import MENDABLE, say
from flows.run.pipeline import Pipeline, all_stored
from flows.run.reasons import why
from flows.run.record import recorded, same_report
from flows.run.stop import leave
from flows.settings_file import ConfigError
from flows.show import console as show_as
from flows.show.estimate import estimate
from flows.show.results import metrics_table, result_notes, stages_table
from flows.show.terminal import Terminal
from flows.weave import weave
from storage import backend
from storage import runs as records
from tasks.engine.build import state
from tasks.engine.earlier import find_takeover
from tasks.engine.step import deferred
from tasks.engine.turn import resumes
from tasks.retrieve.analyzers import standard_note
from tasks.supplement.languages import fallback_note

page = deferred("flows.show.report.page")  # only a run and `report` need it

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

Until = Annotated[str | None, typer.Option(metavar="STAGE", help="Stop after this stage or step.")]
Refresh = Annotated[list[str] | None, typer.Option(metavar="STAGE", help="Build this stage or step again.")]
All = Annotated[bool, typer.Option("--all", help="Each dataset, the cached ones too.")]
Force = Annotated[bool, typer.Option("--force", help="Replace an earlier one.")]
To = Annotated[Path, typer.Option(metavar="FOLDER", help="A folder that is not there yet.")]


def _print_version(asked: bool) -> None:
    if asked:
        out.print(f"polyloom {importlib.metadata.version('polyloom')}", highlight=False)
        raise typer.Exit


@app.callback()
def polyloom(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    """From multilingual corpora to a measured retriever."""


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
    pipeline = weave(settings, until)
    pipeline.check_names(refresh or [])
    _say_notes(pipeline, settings)
    root = settings.storage.location
    told = settings.export.notify and gate.is_open(pipeline, settings)  # only Prefect knows the block
    needs_prefect = any([refresh, setting("PREFECT_API_URL"), told])
    stored = None if needs_prefect else all_stored(pipeline, root)
    if stored is not None:
        recording = recorded(settings, pipeline, stored, until=until, at_end=_add_report)
        with settings.storage.private(), recording as record:
            verdict = gate.settle(pipeline, settings, record.id)
            record.notes = [*result_notes(pipeline, settings), *([verdict.text] if verdict else [])]
    else:
        settings.resources.check_device()
        with settings.storage.private():
            backend.make_folder(root)
        record = records.read(root, run_flow("train_retriever", out, settings, until, refresh))
    stages = [one.model_dump() for one in record.datasets]
    write_json(json_, {"stages": stages, "metrics": record.metrics, "notes": record.notes, "report": record.report})
    out.print(stages_table(record.datasets))
    if record.metrics:
        out.print(metrics_table(record.metrics))
    for line in [*record.notes, *([f"Report: {record.report}"] if record.report else [])]:
        out.print(line, highlight=False, soft_wrap=True, markup=False)


@app.command()
def plan(config: Config, set_: Set = None, until: Until = None, all_: All = False, json_: Json = None) -> None:
    """Show what would be built, what is cached, and why, and what it would cost; run nothing."""
    settings = load_config(config, tuple(set_ or ()))
    root = settings.storage.location
    earlier = [one for one in records.runs(root) if one.name == settings.name] or records.runs(root)
    changed: set[str] = set()
    rows, missing, takeovers = [], [], {}
    pipeline = weave(settings, until)
    for staged in pipeline.staged:
        promise = staged.promise
        reason = state(promise, root).reason
        waiting = [name for name, entry in promise.inputs.items() if entry.fingerprint in changed]
        if reason != "cached":
            changed.add(promise.fingerprint)
            missing.append(promise)
            reason = why(promise, settings, earlier) if reason == "not built" else reason
            takeover = takeovers[promise.fingerprint] = find_takeover(promise, root)
            reason = ", ".join(filter(None, [reason, resumes(promise.ref(root)), str(takeover or "")]))
        elif waiting:
            reason = f"cached, unless {waiting[0]} comes out different"
        rows.append((staged.stage, promise.step.name, promise.ref(root), reason))
    write_json(json_, {"datasets": [{"stage": a, "step": b, "dataset": c.uri, "state": d} for a, b, c, d in rows]})
    if missing or all_:
        out.print(show_as.plan_table(rows) if all_ else show_as.build_table(rows))
    _say_notes(pipeline, settings)
    for line in show_as.encoder_lines(pipeline.promises):
        out.print(escape(line), highlight=False, soft_wrap=True)
    for line in say_separable(pipeline, settings):
        out.print(line, highlight=False, soft_wrap=True)
    if missing:
        estimates = estimate(missing, root, takeovers)
        out.print(show_as.estimate_table(estimates))
        out.print("\n".join(show_as.estimate_lines(estimates)), highlight=False)
    out.print(f"{len(missing)} of {len(rows)} datasets would be built, {len(rows) - len(missing)} are cached.")
    if any("code of " in state for *_, state in rows):
        out.print(f"Code has moved: `polyloom adopt {config}` compares a sample, and takes over what is equal.")
    if missing:
        settings.resources.check_device()


@app.command()
def export(config: Config, to: To, set_: Set = None, force: Force = False, latest: LastGood = False) -> None:
    """Copy the finished model out of the store: weights, tokenizer, sentence-transformers' files and model card."""
    carry.export_model(load_config(config, tuple(set_ or ())), to, force=force, last_good=latest)
    out.print(f"The model is in {escape(str(to))}.")


@app.command()
def pack(config: Config, to: To, set_: Set = None, force: Force = False) -> None:
    """Copy all that the training reads, with its code, to train on another machine."""
    carry.pack_training(load_config(config, tuple(set_ or ())), to, force=force)
    out.print(
        f"Copy {escape(str(to))} to the machine, run `sh train.sh` there, bring its folder `out` back, and run this "
        "configuration with --set train.result=<that folder>."
    )


def _add_report(run: records.Run, root: str) -> None:
    run.report = same_report(run, root)
    if run.report is None:
        page.add_report(run, root)


def _say_notes(pipeline: Pipeline, settings: PipelineConfig) -> None:
    """Say what is done for a language that lacks something."""
    asked = [promise for promise in pipeline.promises if promise.step.produces == "queries" and not promise.inputs]
    splits = {(promise.partition, promise.arguments["split"]) for promise in asked}
    measured = [language for language, split in sorted(splits) if split == "dev" and (language, "train") not in splits]
    notes: list[str | None] = [f"{', '.join(measured)}: no train queries, so only measured"] if measured else []
    notes.append(standard_note(settings.languages))
    if settings.supplement.enabled:
        notes += map(fallback_note, settings.languages)
    for note in filter(None, notes):
        out.print(note, highlight=False, soft_wrap=True)


_REST = (init, check, ablation, report, runs, latest, compare, ls, show, explain, diff, verify, adopt, gc, doctor)
for command in (*_REST, search, encode, bake_off):
    app.command()(command)

err = Terminal(stderr=True)


def main() -> None:
    """Run the command; what a user can cause ends in one clear line, not in a traceback."""
    try:
        if (encoding := sys.getfilesystemencoding()) != "utf-8":
            raise ConfigError(f"environment: expected names of files in UTF-8, got {encoding}. Set PYTHONUTF8=1.")
        app()
    except MENDABLE as error:
        if os.environ.get("POLYLOOM_TRACEBACK"):
            raise
        if isinstance(error, PrefectUnavailable):
            leave(1, str(error))  # without Prefect's own end, which waits minutes for what is gone
        err.print(f"[bold red]polyloom:[/] {escape(say(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
