"""Job: what a stage's body gets that must not change its result."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from storage import Writer

Progress = Callable[[int, str], AbstractContextManager[Callable[[int], None]]]


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
    """`with job.progress(total, unit) as advance: advance(done)` draws a bar."""
    log: logging.Logger
    """Warnings and counts that a person should see."""
