"""Every run leaves a record in its store, however it ends: a context manager around it."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from flows.configs import PipelineConfig
from flows.run.pipeline import BuildResult, Pipeline
from flows.run.stop import Ending, ending
from storage import Manifest, backend, find, inspect, runs
from storage.runs import Run, RunDataset
from storage.telling import tell_stored
from tasks.engine.step import Promise
from tasks.engine.told import told


@contextlib.contextmanager
def recorded(
    config: PipelineConfig,
    pipeline: Pipeline,
    results: Collection[BuildResult],
    *,
    failed: set[str] | frozenset[str] = frozenset(),
    until: str | None = None,
    refresh: list[str] | None = None,
    flow: str = runs.PIPELINE,
    at_end: Callable[[Run, str], None] | None = None,
) -> Iterator[Run]:
    """Record what runs inside: "running" at once, and at the end what became of it. What it raises goes on.

    Args:
        config: all settings.
        pipeline: what was asked for.
        results: what is done; read at the end.
        failed: the names of those datasets whose step failed; read at the end.
        until: as it was asked.
        refresh: as it was asked.
        flow: that runs.
        at_end: adds to the record of a run that was not stopped, given the store.

    Yields:
        The record; `report` and `notes` may be set on it.
    """
    root, began = config.storage.location, time.monotonic()
    run = _begin(config, pipeline, until, refresh, flow)
    runs.write(root, run)

    def close(end: Ending) -> None:
        run.state, run.error = end.how, " ".join(end.text.split()) or None
        done = {(result.kind, result.partition, result.fingerprint): result for result in list(results)}
        for one in run.datasets:
            if result := done.get((one.kind, one.partition, one.fingerprint)):
                one.status, one.rows, one.seconds = result.status, result.rows, result.seconds
                one.reason, one.content = result.reason, result.content
            elif str(one.ref(root)) in failed:
                one.status = "failed"
        measured = [one.ref(root) for one in run.of("metrics") if one.status in ("built", "cached")]
        run.metrics = [row for ref in measured for row in inspect.metrics_means(ref)]
        run.ended_at, run.seconds = _now(), round(time.monotonic() - began, 1)
        runs.write(root, run)
        if at_end is not None and run.state in ("completed", "failed"):
            at_end(run, root)
            runs.write(root, run)

    with ending(None, close):
        yield run


def _begin(config: PipelineConfig, pipeline: Pipeline, until: str | None, refresh: list[str] | None, flow: str) -> Run:
    # A language of the sample's stands in for the run's own, which the default layout may not know.
    default = _plain(PipelineConfig(languages=("en",))) | {"languages": _plain(config.languages)}
    return Run(
        id=runs.new_id(config.storage.location),
        flow=flow,
        name=config.name,
        file=config.origin.file,
        variant=config.origin.variant,
        until=until,
        refresh=refresh or [],
        changed={name: value for name, (value, _) in differing(_plain(config), default).items()},
        settings=_plain(config),
        codes={promise.step.name: promise.step.code for promise in pipeline.promises},
        datasets=[_dataset(staged.stage, staged.promise) for staged in pipeline.staged],
        started_at=_now(),
        version=importlib.metadata.version("polyloom"),
        process=runs.this_process(),
    )


def same_report(run: Run, root: str) -> str | None:
    """Return the report of the run before, where that did the same and it is there: there is nothing new to tell."""
    before = runs.before(root, run)
    if before is None or not before.report or backend.size(before.report) is None:
        return None
    told = [
        (one.settings, one.version, one.until, [(made.ref(root), made.content) for made in one.datasets])
        for one in (run, before)
    ]
    return before.report if told[0] == told[1] else None


def differing(settings: Mapping[str, Any], others: Mapping[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Return what is not the same in two settings: dotted name -> both values; None where it is not there."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys([*settings, *others]):
        one, other = settings.get(name), others.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            found |= differing(one, other, f"{prefix}{name}.")
        elif one != other:
            found[f"{prefix}{name}"] = (one, other)
    return found


def why(promise: Promise, config: PipelineConfig, earlier: Sequence[Run]) -> str:
    """Say why a dataset is not there yet, by the last dataset of its step, partition, split and system of.

    Args:
        promise: of the dataset.
        config: its settings, for their names.
        earlier: the runs of its store, the newest first.
    """
    root, wanted, seen = config.storage.location, told(promise, by_model=False), set()
    closest: tuple[bool, int, int, Manifest, Run] | None = None
    for age, run in enumerate(earlier):
        for one in run.datasets:
            ref = one.ref(root)
            if (one.step, one.partition) != (promise.step.name, promise.partition) or ref in seen:
                continue
            seen.add(ref)
            if content := find(ref):
                distance = len(differing(promise.settings, content.arguments))
                found = (tell_stored(ref) != wanted, age, distance, content, run)
                closest = min(closest or found, found, key=lambda one: one[:3])
        if closest and not closest[0]:  # of the same split and system; an older one is no better
            break
    return _differs(promise, config, *closest[3:]) if closest else "not built before"


def _differs(promise: Promise, config: PipelineConfig, before: Manifest, run: Run) -> str:
    """Say what is not as it was when a dataset was built, by a run's names of settings."""
    reasons = [f"code of {promise.step.name} changed"] if before.code != promise.step.code else []
    changed, inputs = differing(_plain(config), run.settings), []
    for name, (now, then) in differing(promise.settings, before.arguments).items():
        leaf = name.rpartition(".")[2]
        called = [one for one in changed if one.rpartition(".")[2] == leaf]
        if name in promise.inputs or any(one.startswith(f"{name}.") for one in promise.inputs):
            inputs.append(f"input {name} changed")
        else:
            reasons.append(f"{called[0] if called else name} {write_value(then)} → {write_value(now)}")
    return ", ".join(reasons or inputs[:1]) or "gone from the store"


def write_value(value: Any) -> str:
    """Write a setting's value in one line."""
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _dataset(stage: str, promise: Promise) -> RunDataset:
    return RunDataset(
        stage=stage,
        step=promise.step.name,
        kind=promise.step.produces,
        partition=promise.partition,
        fingerprint=promise.fingerprint,
    )


def _plain(value: Any) -> Any:
    """Return settings as JSON knows them, those that are kept out of fingerprints included."""
    if isinstance(value, BaseModel) or dataclasses.is_dataclass(value):
        return {name: _plain(inner) for name, inner in value.__dict__.items()}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
