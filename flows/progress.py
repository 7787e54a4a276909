"""Progress of long work: bars on a terminal, a log line now and then elsewhere."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

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
    def draw(self, label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
        """Draw one bar; yields a function that takes the number done so far."""
        bar = self._progress.add_task(label, total=total, unit=unit)
        try:
            yield lambda done: self._progress.update(bar, completed=done)
        finally:
            self._progress.remove_task(bar)


@contextlib.contextmanager
def log_progress(log: logging.Logger, label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Log how far a piece of work is, at most once in `LOG_SECONDS`."""
    started = last = time.monotonic()

    def advance(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LOG_SECONDS:
            last = now
            left = (now - started) / done * (total - done) if done else float("nan")
            log.info("%s: %d of %d %s, about %.0f s left", label, done, total, unit, left)

    yield advance
