"""Job: what a step's body gets that must not change its result, and how it tells how far it is."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storage import Writer
from tasks.engine.known import Earlier


class Draw(Protocol):
    """Shows how far a piece of work is; the flow's side of progress."""

    def __call__(self, done: int, note: str = "") -> None:
        """Take the number done so far, and what else there is to say of it."""


class Advance(Protocol):
    """Tells that a piece of work got on; the body's side of progress."""

    def __call__(self, number: int, note: str = "") -> None:
        """Take the number that is newly done, and what else there is to say of it."""


Progress = Callable[[int, str], AbstractContextManager[Draw]]


@dataclass(frozen=True)
class Job:
    """The surroundings of one build."""

    out: Writer
    """Where the dataset is written."""
    device: str
    """`cpu`, `cuda` or one of several GPUs, as `cuda:1`."""
    batch_tokens: int
    """Tokens per inference batch, padding included."""
    threads: int
    """Threads that the body may use."""
    scratch: Path
    """A local folder that survives a kill and goes with the commit: resume state, an index."""
    progress: Progress
    """What draws the bars of `bar`."""
    log: logging.Logger
    """Warnings and counts that a person should see."""
    earlier: Earlier | None = None
    """The last dataset of the same step and settings, for `Known`."""

    @contextlib.contextmanager
    def bar(self, total: int, unit: str) -> Iterator[Advance]:
        """Draw a bar: `with job.bar(total, unit) as advance: advance(number)`, from any thread.

        What an earlier, killed build has done is told as well, when it is passed over.

        Args:
            total: how much there is to do.
            unit: of what.

        Yields:
            A function that takes what is newly done, and counts.
        """
        done, lock = 0, threading.Lock()
        with self.progress(total, unit) as draw:

            def advance(number: int, note: str = "") -> None:
                nonlocal done
                with lock:
                    done += number
                    draw(done, note)

            yield advance
