"""Runs: which of them a command looks at, the list of them, and some beside each other."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Json, Root, out, write_json
from flows.configs import StorageConfig, load_config
from flows.run import gate
from flows.settings_file import ConfigError
from flows.show.results import called, compare_runs, compare_systems, compared_tables, comparison_table, runs_table
from flows.weave import weave
from storage import DatasetRef, MissingDataset, find, inspect
from storage import latest as pointers
from storage import runs as records

Run = Annotated[str | None, typer.Option(metavar="RUN", help="Of this run: an id, latest, or the name of a pipeline.")]
OfConfig = Annotated[
    Path | None,
    typer.Option(metavar="CONFIG.yaml", help="Of this configuration. Without both: of the last completed run."),
]


@dataclass(frozen=True)
class Chosen:
    """The datasets that a command looks at."""

    root: str
    refs: Sequence[DatasetRef]
    """What others are made from first."""
    label: str
    """Which run it is, for the header."""


def choose(root: str, run: str | None, config: Path | None, set_: Sequence[str] = ()) -> Chosen:
    """Choose the datasets of a run, or those that a configuration promises.

    Raises:
        MissingDataset: there is no such run.
        ConfigError: both a run and a configuration are named.
    """
    if run and config:
        raise ConfigError(f"--run {run}: expected it without --config {config}, got both. Name one of them.")
    if config:
        settings = load_config(config, tuple(set_))
        where = settings.storage.location
        return Chosen(where, [promise.ref(where) for promise in weave(settings).promises], f"configuration {config}")
    where = location(root)
    if run:
        return _of_run(where, records.find(where, run))
    newest = Chosen(where, [ref for ref, _ in inspect.datasets(where)], "the newest: no run is complete here")
    return next(completed(where), newest)


def completed(where: str) -> Iterator[Chosen]:
    """Choose the datasets of each completed run of a store's pipelines, the last one's first."""
    return (_of_run(where, one) for one in records.completed(where))


def _of_run(where: str, run: records.Run) -> Chosen:
    label = f"run {run.id} ({called(run)}), {run.state}"
    return Chosen(where, [one.ref(where) for one in run.datasets], label)


def location(root: str) -> str:
    """Return the store as every process sees it."""
    return StorageConfig(root=root).location


def runs(
    name: Annotated[str | None, typer.Argument(help="Only those of this name.")] = None,
    json_: Json = None,
    root: Root = "data",
) -> None:
    """List the runs of a store, the newest first, with what was changed since the one of that name before."""
    found = [run for run in records.runs(location(root)) if name in (None, run.name)]
    if not found:
        raise MissingDataset(f"runs: expected one in '{location(root)}', found none. See `polyloom run`.")
    write_json(json_, {"runs": [run.model_dump(mode="json") for run in found]})
    out.print(runs_table(found, {one.run for one in pointers.everyone(location(root))}))


def latest(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="Its model is the one to use from now on.")] = None,
    json_: Json = None,
    root: Root = "data",
) -> None:
    """Say which model of each pipeline is the one to use, and why; or choose one by hand."""
    where = location(root)
    if run is not None:
        one = records.find(where, run)
        models = [made.ref(where) for made in one.of("model") if find(made.ref(where))]
        measures = [made.ref(where) for made in one.of("metrics")]
        trained = [ref for ref in measures if (made := find(ref)) and made.arguments["system"] == "trained"]
        if not (models and trained):
            raise MissingDataset(f"run {one.id}: expected a model with its measures, got none. See `polyloom runs`.")
        new = gate.pointer(one.name, one.id, models[-1], trained[-1])
        pointers.write(where, new.model_copy(update={"why": "chosen by hand"}))
    found = pointers.everyone(where)
    write_json(json_, {"latest": [entry.model_dump(mode="json") for entry in found]})
    for entry in found:
        out.print(f"{entry.name}: run {entry.run}, {entry.metric} {entry.value:.4f}, {entry.why}", highlight=False)
        out.print(f"  {where}/{entry.model}/model", highlight=False, soft_wrap=True)
    if not found:
        out.print("No model has won yet: the first whole run of a pipeline makes one.")


def compare(
    run: Annotated[list[str], typer.Argument(metavar="RUN", help="Ids, latest, or names; the first is the reference.")],
    json_: Json = None,
    root: Root = "data",
) -> None:
    """Set runs beside each other: settings that differ, what became of the candidates, metrics with interval and p.

    Of one run alone: its systems beside each other.
    """
    where = location(root)
    found = [records.find(where, one) for one in run]
    if twice := [one for one, times in Counter(one.id for one in found).items() if times > 1]:
        raise ConfigError(f"compare: expected runs that differ, got {twice[0]} twice. Name each once.")
    if len(found) == 1:
        rows = compare_systems(where, found[0])
        write_json(json_, {"runs": [found[0].id], "metrics": rows})
        out.print(comparison_table(rows, rows[-1]["variant"], "Systems"))
        return
    comparison = compare_runs(where, found)
    write_json(json_, comparison)
    shared = Counter(called(one) for one in found)
    names = [called(one) if shared[called(one)] == 1 else one.id.rpartition("-")[2] for one in found]
    for one, name in zip(found, names, strict=True):
        out.print(f"{name}: run {one.id} ({called(one)}), {one.state}", highlight=False)
    out.print(*compared_tables(comparison, names), sep="\n")
