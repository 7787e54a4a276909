"""Progress of work that tells what it has newly done, on a bar that wants totals."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.engine.job import Job


@contextmanager
def newly(job: Job, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A progress bar that is told what is newly done."""
    done = 0
    with job.progress(total, unit) as advance:

        def add(number: int) -> None:
            nonlocal done
            done += number
            advance(done)

        yield add
