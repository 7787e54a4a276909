"""Progress of long work: bars on a terminal, a log line now and then elsewhere, an artifact in the Prefect UI."""

import contextlib
import logging
import re
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import cast
from uuid import UUID

from rich import progress as rich_progress
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from flows.run.stop import AT_STOP, UNDER_WAY
from tasks.engine.job import Draw, Progress
from tasks.engine.step import deferred

httpx = deferred("httpx")  # heavy, as are these, and first needed where Prefect runs
prefect_artifacts = deferred("prefect.artifacts")
prefect_exceptions = deferred("prefect.exceptions")

LOG_SECONDS = 15.0  # between two lines where there is no terminal
ARTIFACT_SECONDS = 5.0  # before there is an artifact, and between two updates: each is a request

CELL: ContextVar[str] = ContextVar("cell", default="")  # of an ablation, whose pipelines run side by side
WORK: ContextVar[str] = ContextVar("work", default="")  # what this thread's step is making
SHOWN: "list[Bars]" = []  # the command line's bars while it runs a pipeline in this process


class AsSentence(logging.Formatter):
    """Puts before a line what it is about: the ablation's cell, and what the step that says it is making."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        work = WORK.get() if record.name != "polyloom.run" else ""  # whose own lines say it
        return ": ".join(filter(None, [CELL.get(), work, super().format(record)]))


@contextlib.contextmanager
def at_work(on: str) -> Iterator[None]:
    """Have the lines of a step say what it is making, such as `train, training_log`."""
    token = WORK.set(on)
    try:
        yield
    finally:
        WORK.reset(token)


class Bars:
    """Draws the bars of all running steps; use as a context manager around a run."""

    def __init__(self, console: Console) -> None:
        self.has_terminal = console.is_terminal
        self._progress = rich_progress.Progress(
            TextColumn("{task.description}", table_column=Column(ratio=2, no_wrap=True)),  # these two share
            BarColumn(bar_width=8),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", table_column=Column(ratio=1, no_wrap=True)),  # what room is left
            console=console,
            expand=True,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "Bars":
        """Begin to draw."""
        AT_STOP.append(self._progress.stop)
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the bars."""
        self._progress.stop()
        AT_STOP.remove(self._progress.stop)

    @contextlib.contextmanager
    def draw(self, label: str, total: int, unit: str) -> Iterator[Draw]:
        """Draw one bar; yields a function that takes the number done so far."""
        bar = self._progress.add_task(label, total=total, unit=unit, note="")
        try:
            yield lambda done, note="": self._progress.update(bar, completed=done, note=note)
        finally:
            self._progress.remove_task(bar)


@contextlib.contextmanager
def shown(bars: Bars) -> Iterator[None]:
    """Show what runs in this process as bars on its terminal, if it has one; else there is a line now and then."""
    if not bars.has_terminal:
        yield
        return
    SHOWN.append(bars)
    try:
        with bars:
            yield
    finally:
        SHOWN.remove(bars)


@contextlib.contextmanager
def log_progress(total: int, unit: str) -> Iterator[Draw]:
    """Log how far a piece of work is, at most once in `LOG_SECONDS`; what has a note logs its own lines."""
    started = last = time.monotonic()
    log, work = logging.getLogger("polyloom.run"), WORK.get()  # of this thread: others may draw, too

    def draw(done: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LOG_SECONDS and done and not note:
            last = now
            left = (now - started) / done * (total - done)
            log.info("%s: %s of %s %s, about %.0f s left.", work, f"{done:,}", f"{total:,}", unit, left)

    yield draw


@contextlib.contextmanager
def with_artifact(draw: Progress, label: str, total: int, unit: str) -> Iterator[Draw]:
    """Draw progress, and show it in the Prefect UI as well; call it in a task run.

    Args:
        draw: what draws it.
        label: name of the step, such as `train_encoder-all`.
        total: how much there is to do.
        unit: of what.
    """
    artifact = _Artifact(label, total, unit)
    with draw(total, unit) as draw_done:

        def both(done: int, note: str = "") -> None:
            UNDER_WAY[label] = f"{done:,} of {total:,} {unit}"
            draw_done(done, note)
            artifact.update(done, note)

        yield both
    artifact.end()


class _Artifact:
    def __init__(self, label: str, total: int, unit: str) -> None:
        self._key = re.sub("[^a-z0-9]+", "-", label.lower()).strip("-")
        self._total, self._unit = total, unit
        self._artifact: UUID | None = None
        self._next: float | None = time.monotonic() + ARTIFACT_SECONDS
        self._text = ""

    def update(self, done: int, note: str) -> None:
        if self._next is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + ARTIFACT_SECONDS
        self._text = f"{done:,} of {self._total:,} {self._unit}" + (f": {note}" if note else "")
        self._send(100 * min(done / max(self._total, 1), 1.0))

    def end(self) -> None:
        if self._artifact is not None:
            self._send(100.0)

    def _send(self, percent: float) -> None:
        try:
            if self._artifact is None:
                made = prefect_artifacts.create_progress_artifact(percent, key=self._key, description=self._text)
                self._artifact = cast("UUID", made)  # a coroutine only in an event loop, where no step runs
            else:
                prefect_artifacts.update_progress_artifact(self._artifact, percent, description=self._text)
        except (httpx.HTTPError, prefect_exceptions.PrefectHTTPStatusError) as error:
            self._next = None  # the work is worth more than the picture of it
            logging.getLogger("polyloom.run").warning("%s: its progress is no longer shown: %s", self._key, error)
