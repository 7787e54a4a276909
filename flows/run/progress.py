"""Progress of long work: bars on a terminal, a log line now and then elsewhere."""

import contextlib
import logging
import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tasks.engine.job import Draw

LOG_SECONDS = 15.0  # between two lines where there is no terminal


class Bars:
    """Draws the bars of all running steps; use as a context manager around a run."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "Bars":
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Clear the bars."""
        self._progress.stop()

    @contextlib.contextmanager
    def draw(self, label: str, total: int, unit: str) -> Iterator[Draw]:
        """Draw one bar; yields a function that takes the number done so far."""
        bar = self._progress.add_task(label, total=total, unit=unit, note="")
        try:
            yield lambda done, note="": self._progress.update(bar, completed=done, note=note)
        finally:
            self._progress.remove_task(bar)


@contextlib.contextmanager
def log_progress(log: logging.Logger, label: str, total: int, unit: str) -> Iterator[Draw]:
    """Log how far a piece of work is, at most once in `LOG_SECONDS`; what has a note logs its own lines."""
    started = last = time.monotonic()

    def advance(done: int, note: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LOG_SECONDS and not note:
            last = now
            left = (now - started) / done * (total - done) if done else float("nan")
            log.info("%s: %d of %d %s, about %.0f s left", label, done, total, unit, left)

    yield advance
