"""Shards of one dataset, made by several processes at once, on this machine or on others.

A body that asks which shards are `missing` needs to know nothing of it: before it is told, the build hands them out.
A worker runs the same body with a Writer that names its own shards alone, and never begins or commits. Then the
build's body goes on as ever: it takes over what is recorded and makes the rest.
"""

import logging
import pickle
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from storage import DatasetRef, Writer, recorded
from tasks.engine.job import Draw, Job, Progress
from tasks.engine.known import Earlier
from tasks.engine.step import Promise, Step

_ROUNDS = 3  # so often are shards handed out; what a lost worker has left is divided among all


@dataclass(frozen=True)
class Place:
    """What a build may use of a machine; none of it changes a result."""

    device: str
    batch_tokens: int
    threads: int

    def job(self, step: str, out: Writer, scratch: Path, progress: Progress, earlier: Earlier | None = None) -> Job:
        """Put together what a body gets besides its arguments; without `earlier` it computes every row."""
        log = logging.getLogger(f"polyloom.{step}")
        return Job(out, self.device, self.batch_tokens, self.threads, scratch, progress, log, earlier)


@dataclass(frozen=True)
class Share:
    """What one worker is to make, and all that it needs for that."""

    step: Step
    code: str
    """The step's fingerprint: another version's shards would not fit."""
    ref: DatasetRef
    arguments: dict[str, Any]
    """The body's, with references for Promises."""
    earlier: Earlier | None
    shards: frozenset[int]
    place: Place


class Engine(Protocol):
    """Has shares made, each in a process of its own."""

    @property
    def places(self) -> Sequence[Place]:
        """Say where, one for each worker."""

    def __call__(self, shares: Sequence[Share], watch: Callable[[], None]) -> None:
        """Return when every share is made or its worker is lost.

        Args:
            shares: at most one for each place.
            watch: to be called now and then meanwhile.

        Raises:
            Exception: that of a body; no worker is at work any more.
        """


def hand_out(
    engine: Engine, promise: Promise, root: str, progress: Progress, earlier: Earlier | None
) -> Callable[[list[int]], None]:
    """Return what has missing shards made elsewhere; some may still be missing after that."""
    ref, log = promise.ref(root), logging.getLogger(f"polyloom.{promise.step.name}")

    def give(missing: list[int]) -> None:
        with progress(len(missing), "shards") as draw:
            for number in range(_ROUNDS):
                left = sorted(set(missing) - recorded(ref))
                if len(left) < 2:
                    break
                if number:
                    log.warning("lost workers have left %d shards, which are handed out again.", len(left))
                engine(_divide(left), lambda: draw(len(recorded(ref).intersection(missing))))
            draw(len(recorded(ref).intersection(missing)))

    def _divide(left: list[int]) -> list[Share]:
        step, places = Step(promise.step.path, promise.step.produces), engine.places
        divided = [(frozenset(left[number :: len(places)]), place) for number, place in enumerate(places)]
        arguments = promise.resolve(root)
        return [
            Share(step, promise.step.code, ref, arguments, earlier, shards, place)
            for shards, place in divided
            if shards
        ]

    return give


def make_share(share: Share) -> Exception | None:
    """Run the body for a share, in a worker; return the error, in a form that can travel."""
    try:
        _make(share)
    except Exception as error:  # whatever it is: the process that asked raises it
        traceback.print_exc()
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # of a class that does not say how
            return RuntimeError(f"{type(error).__name__}: {error}")
        return error
    return None


def _make(share: Share) -> None:
    if share.step.code != share.code:
        raise RuntimeError(
            f"worker for {share.step.name}: expected the code {share.code[:12]}, got {share.step.code[:12]}. Install "
            "the same version of Polyloom on every machine."
        )
    with tempfile.TemporaryDirectory() as scratch:
        out = Writer(share.ref, share.shards.__contains__)
        job = share.place.job(share.step.name, out, Path(scratch), _unseen, share.earlier)
        share.step.body(job, **share.arguments)


@contextmanager
def _unseen(total: int, unit: str) -> Iterator[Draw]:
    """Draw nothing: the records of shards say how far the worker is."""
    yield lambda done, note="": None
