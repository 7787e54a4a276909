"""Job: what a stage's body gets that must not change its result."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from storage import Writer


class Advance(Protocol):
    """Tells how far a piece of work is."""

    def __call__(self, done: int, note: str = "") -> None:
        """Take the number done so far, and what else there is to say of it."""


Progress = Callable[[int, str], AbstractContextManager[Advance]]


@dataclass(frozen=True)
class Job:
    """The surroundings of one build."""

    out: Writer
    """Where the dataset is written."""
    device: str
    """`cpu` or `cuda`."""
    batch_tokens: int
    """Tokens per inference batch, padding included."""
    threads: int
    """Threads that the body may use."""
    scratch: Path
    """A local folder that survives a kill and goes with the commit: resume state, an index."""
    progress: Progress
    """`with job.progress(total, unit) as advance: advance(done)` draws a bar; `advance(done, note)` says more."""
    log: logging.Logger
    """Warnings and counts that a person should see."""
