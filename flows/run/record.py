"""Every run leaves a record in its store, however it ends: a context manager around it."""

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from flows.configs import PipelineConfig
from flows.run.pipeline import Pipeline, described
from flows.run.stop import Ending, ending
from storage import StorageError, backend, inspect, runs
from storage.runs import Run, RunDataset

BEAT_SECONDS = 60.0  # between two times that a record says that its run goes on


@contextlib.contextmanager
def recorded(
    config: PipelineConfig,
    pipeline: Pipeline,
    results: Collection[RunDataset],
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
    ended, writing = threading.Event(), threading.Lock()

    def say_alive() -> None:
        while not ended.wait(BEAT_SECONDS):
            with writing, contextlib.suppress(OSError, StorageError):  # what is wrong with the store, the steps say
                if not ended.is_set():
                    run.alive_at = datetime.datetime.now(datetime.UTC)
                    runs.write(root, run)

    def close(end: Ending) -> None:
        ended.set()
        with writing:  # a last word that is under way would say that it goes on
            pass
        run.state, run.error = end.how, " ".join(end.text.split()) or None
        done = {one.ref(root): one for one in list(results)}
        run.datasets = [done.get(one.ref(root), one) for one in run.datasets]
        for one in run.datasets:
            if str(one.ref(root)) in failed and one.status == "not run":
                one.status = "failed"
        measured = [one.ref(root) for one in run.of("metrics") if one.status in ("built", "cached")]
        run.metrics = [row for ref in measured for row in inspect.metrics_means(ref)]
        run.ended_at, run.seconds = _now(), round(time.monotonic() - began, 1)
        runs.write(root, run)
        if at_end is not None and run.state in ("completed", "failed"):
            at_end(run, root)
            runs.write(root, run)

    threading.Thread(target=say_alive, daemon=True, name="record").start()
    with ending(None, close):
        yield run


def _begin(config: PipelineConfig, pipeline: Pipeline, until: str | None, refresh: list[str] | None, flow: str) -> Run:
    # A language of the sample's stands in for the run's own, which the default layout may not know.
    default = plain(PipelineConfig(languages=("en",))) | {"languages": plain(config.languages)}
    return Run(
        id=runs.new_id(config.storage.location),
        flow=flow,
        name=config.name,
        file=config.origin.file,
        variant=config.origin.variant,
        until=until,
        refresh=refresh or [],
        changed={name: value for name, (value, _) in differing(plain(config), default).items()},
        settings=plain(config),
        codes={promise.step.name: promise.step.code for promise in pipeline.promises},
        datasets=[described(staged) for staged in pipeline.staged],
        started_at=_now(),
        alive_at=datetime.datetime.now(datetime.UTC),
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


def write_value(value: Any) -> str:
    """Write a setting's value in one line."""
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Return settings as JSON knows them, those that are kept out of fingerprints included."""
    if isinstance(value, BaseModel) or dataclasses.is_dataclass(value):
        return {name: plain(inner) for name, inner in value.__dict__.items()}
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
