"""Records of runs, `<root>/runs/<id>.json`: what was asked, what became of every dataset, and how it ended.

A record is written when a run begins and again when it ends, each time in one step. That of a killed run still says
"running"; whether its process lives is asked when it is read. Of another machine's process nothing can be asked (a
container is one, and its successor another): there the record has to say from time to time that it goes on.
"""

import datetime
import os
import re
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ValidationError

from storage import backend
from storage.errors import MissingDataset, warn
from storage.manifest import DatasetRef

FOLDER, REPORTS = "runs", "reports"
ABLATION = "ablation"  # the report of the last one, which is of several runs
PIPELINE = "train_retriever"  # the flow whose runs `latest` and names mean
_STAMP = "%Y%m%d-%H%M%S"
_SILENT = datetime.timedelta(hours=1)  # a run of another machine that has said nothing for so long is gone
_NAME = re.compile(r"(\d{8}-\d{6}-[0-9a-f]{4})\.json")

Outcome = Literal["built", "cached", "failed", "not run"]
State = Literal["running", "completed", "failed", "stopped", "killed"]


class RunDataset(BaseModel):
    """One dataset of a run, in an order in which inputs come first."""

    stage: str
    step: str
    kind: str
    partition: str
    fingerprint: str
    status: Outcome = "not run"
    rows: int | None = None
    seconds: float = 0.0
    """What this run spent; 0 where the dataset was there."""
    reason: str = ""
    content: str = ""
    """Hash of what it holds."""

    def ref(self, root: str) -> DatasetRef:
        """Name the dataset in its store."""
        return DatasetRef(kind=self.kind, partition=self.partition, fingerprint=self.fingerprint, root=root)


class Run(BaseModel):
    """One run of a pipeline."""

    id: str
    """Sorts by start: date, time and four letters; a clock that was put back takes no earlier one."""
    flow: str = PIPELINE
    name: str
    """That of the configuration."""
    file: str | None = None
    """The configuration's file; None where there is none, as for one from the Prefect UI."""
    variant: str | None = None
    """Of an ablation."""
    until: str | None = None
    refresh: list[str] = []
    changed: dict[str, Any] = {}
    """Settings that are not the defaults: dotted name -> value."""
    settings: dict[str, Any] = {}
    """All of them, nested."""
    codes: dict[str, str] = {}
    """Step -> fingerprint of its code."""
    datasets: list[RunDataset] = []
    metrics: list[dict[str, Any]] = []
    """Means: system, language (`all`: the mean over them), metric, value, num_queries, new_value, num_new."""
    notes: list[str] = []
    state: State = "running"
    error: str | None = None
    started_at: str
    ended_at: str | None = None
    seconds: float = 0.0
    report: str | None = None
    """Where its report lies."""
    version: str = ""
    """Of polyloom."""
    process: str = ""
    """Host, process id and start of the process, to tell whether it lives."""
    alive_at: AwareDatetime | None = None
    """When it last said that it goes on."""

    def of(self, kind: str, partition: str | None = None) -> list[RunDataset]:
        """List its datasets of a kind, those that others of them were made from first."""
        return [one for one in self.datasets if one.kind == kind and partition in (None, one.partition)]

    def mean(self, metric: str = "nDCG@10", system: str = "trained") -> float | None:
        """Return a system's mean over languages, if it was measured."""
        asked = (system, "all", metric)
        found = [row["value"] for row in self.metrics if (row["system"], row["language"], row["metric"]) == asked]
        return found[0] if found else None


def new_id(root: str) -> str:
    """Name a run that begins now, after all others of the store, whatever the clock says."""
    stamp = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    if (others := ids(root)) and (newest := _stamp(others[-1])):
        stamp = max(stamp, newest + datetime.timedelta(seconds=1))
    return f"{stamp:{_STAMP}}-{uuid.uuid4().hex[:4]}"


def write(root: str, run: Run) -> None:
    """Write a run's record in one step, over an earlier one."""
    backend.put_bytes(run.model_dump_json(indent=1).encode() + b"\n", f"{root}/{FOLDER}/{run.id}.json")


def report_uri(root: str, run_id: str) -> str:
    """Say where a run's report lies."""
    return f"{root}/{REPORTS}/{run_id}.html"


def read(root: str, run_id: str) -> Run:
    """Read a run's record; `state` is "killed" where its process is gone.

    Raises:
        MissingDataset: there is none, or it cannot be read.
    """
    uri = f"{root}/{FOLDER}/{run_id}.json"
    try:
        run = Run.model_validate_json(backend.read_bytes(uri))
    except FileNotFoundError as error:
        raise MissingDataset(f"run '{run_id}': expected {uri}, found none. See `polyloom runs`.") from error
    except ValidationError as error:
        raise MissingDataset(
            f"{uri}: expected the record of a run, got {error.error_count()} errors. Remove the file."
        ) from error
    state = "killed" if run.state == "running" and _is_dead(run) else run.state
    # a report lies in its store, wherever that has been moved to
    report = run.report and f"{root}/{REPORTS}/{run.report.rpartition('/')[2]}"
    return run.model_copy(update={"state": state, "report": report})


def runs(root: str) -> list[Run]:
    """List the runs of a store, the newest first."""
    with backend.held([f"{root}/{FOLDER}"], ".json"):
        return list(newest_first(root))


def newest_first(root: str) -> Iterator[Run]:
    """Read the runs of a store one by one, the newest first; a record that cannot be read is said and left out."""
    for one in reversed(ids(root)):
        try:
            yield read(root, one)
        except MissingDataset as error:
            warn(str(error))


def completed(root: str, name: str | None = None) -> Iterator[Run]:
    """Read a pipeline's completed runs one by one, of a name or of any, the newest first."""
    whole = (run for run in newest_first(root) if (run.flow, run.state) == (PIPELINE, "completed"))
    return (run for run in whole if name in (None, run.name))


def before(root: str, run: Run) -> Run | None:
    """Find the last completed run of the same pipeline and variant before a run that went as far; None without one."""
    same, as_far = (run.flow, run.name, run.variant), (None, run.until)
    earlier = (
        one for one in newest_first(root) if one.id < run.id and one.state == "completed" and one.until in as_far
    )
    return next((one for one in earlier if (one.flow, one.name, one.variant) == same), None)


def find(root: str, name: str) -> Run:
    """Find the run that a person means.

    Args:
        root: the store.
        name: `latest` (the last completed run of a pipeline), the start or the last four letters of an id, or the
            name of a pipeline (its last completed run). A bake-off is found by its id alone.

    Raises:
        MissingDataset: there is none, or several with that start.
    """
    if near := [one for one in ids(root) if one.startswith(name) or one.endswith(f"-{name}")]:
        if len(near) > 1:
            got = f"{len(near)}: {', '.join(near)}"
            raise MissingDataset(f"run '{name}': expected one, got {got}. Write more of its id.")
        return read(root, near[0])
    if found := next(completed(root, None if name == "latest" else name), None):
        return found
    raise MissingDataset(f"run '{name}': expected a completed run in '{root}', found none. See `polyloom runs`.")


def this_process() -> str:
    """Name this process, so that another one can tell whether it lives."""
    return f"{socket.gethostname()} {os.getpid()} {_started(os.getpid())}"


def ids(root: str) -> list[str]:
    """List the ids of all runs, the oldest first; temporary and foreign files are none."""
    names = backend.names(f"{root}/{FOLDER}")
    return [found[1] for name in names if (found := _NAME.fullmatch(name)) and _stamp(found[1])]


def _stamp(run_id: str) -> datetime.datetime | None:
    """Return when a run began, as its id has it; None where that is no time."""
    try:
        return datetime.datetime.strptime(run_id[:15], _STAMP).replace(tzinfo=datetime.UTC)
    except ValueError:
        return None


def _started(pid: int) -> str:
    """Tell when a process began, in the kernel's ticks, so that another one with its id is not taken for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _is_dead(run: Run) -> bool:
    """Say whether a run's process is gone."""
    host, pid, started = (*run.process.rsplit(" ", 2), "", "")[:3]
    if host == socket.gethostname() and pid.isdecimal():
        return _started(int(pid)) != started
    return run.alive_at is not None and datetime.datetime.now(datetime.UTC) - run.alive_at > _SILENT
