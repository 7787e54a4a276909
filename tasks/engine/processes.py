"""Worker processes on this machine, one for each share: `python -m tasks.engine.processes`."""

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.engine.children import start
from tasks.engine.shares import Place, Share, make_share

_POLL_SECONDS = 0.5
_THREADS = ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS")  # as many as the machine has, by default
_TAIL = 500  # characters of a worker's last words that are shown


@dataclass(frozen=True)
class Processes:
    """An Engine: a process of this machine for each share. None outlives this one."""

    places: Sequence[Place]

    def __call__(self, shares: Sequence[Share], watch: Callable[[], None]) -> None:
        """Have the shares made; see `Engine`."""
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            workers = []
            for number, share in enumerate(shares):
                workers.append(_Worker(share, folder / str(number)))
                stack.callback(workers[-1].end)
            while any([worker.is_at_work() for worker in workers]):
                watch()
                time.sleep(_POLL_SECONDS)


class _Worker:
    def __init__(self, share: Share, folder: Path) -> None:
        self._name, self._lost, self._folder = share.step.name, False, folder
        folder.mkdir()
        threads = dict.fromkeys(_THREADS, str(share.place.threads))
        path = os.pathsep.join(filter(None, sys.path))  # it imports what this process imports
        with (folder / "answer").open("wb") as answer, (folder / "said").open("wb") as said:
            self._process = start(
                [sys.executable, "-m", "tasks.engine.processes"],
                stdin=subprocess.PIPE,  # open until the end: see `_end_with_parent`
                stdout=answer,
                stderr=said,
                env={**threads, **os.environ, "PYTHONPATH": path},
            )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is lost already
            pickle.dump(share, self._process.stdin)
            self._process.stdin.flush()

    def is_at_work(self) -> bool:
        """Say whether it is; raise its error where it has ended with one."""
        status = self._process.poll()
        if status is not None and status < 0 and not self._lost:
            self._lost = True
            by = signal.Signals(-status).name
            logging.getLogger(f"polyloom.{self._name}").warning("a worker was ended by %s.", by)
        if status:
            self._raise(status)
        return status is None

    def _raise(self, status: int) -> None:
        if answer := (self._folder / "answer").read_bytes():
            error: Exception = pickle.loads(answer)
            raise error
        if status > 0:
            words = (self._folder / "said").read_text(encoding="utf-8", errors="replace").strip()[-_TAIL:]
            raise RuntimeError(
                f"worker for {self._name}: expected it to make its shards, got exit status {status}: {words}. Mend "
                "what it names, or set resources.engine to threads."
            )

    def end(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError), self._process:
            pass


def main() -> int:
    """Make the share that comes on standard input."""
    share = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)  # what libraries print must not come into the answer
        error = make_share(share)
        if error is not None:
            pickle.dump(error, answer)
    return 0 if error is None else 1


def _end_with_parent() -> None:
    """End at once when standard input ends: its other end is held by the parent, however that ends."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
