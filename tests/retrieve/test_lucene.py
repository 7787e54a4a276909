"""The Java process: errors, and its end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.retrieve.lucene import Lucene

pytestmark = pytest.mark.slow  # starts Java

REPOSITORY = Path(__file__).parents[2]
BM25 = {"analyzer": "standard", "k1": 0.9, "b": 0.4, "depth": 3}


def search(lucene: Lucene, folder: Path, doc_id: str) -> list[tuple[str, str, int, float]]:
    lucene.call("begin", folder=str(folder), analyzer="standard")
    lucene.call("add", doc_ids=[doc_id], texts=["word"])
    lucene.call("finish", folder=str(folder))
    return lucene.call("search", folder=str(folder), query_ids=["q", "r"], texts=["word", "none"], **BM25)


def test_java_exception_is_one_line_that_says_what_it_was(lucene, tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.raises(RuntimeError, match=r"^bm25: expected Java to begin, got '.*/file.*'; it said: ") as error:
        lucene.call("begin", folder=str(file), analyzer="standard")
    assert "\n" not in str(error.value)
    assert [row[:3] for row in search(lucene, tmp_path / "after", "d")] == [("q", "d", 1)]


def test_index_that_is_not_whole_is_an_error(lucene, tmp_path):
    lucene.call("begin", folder=str(tmp_path), analyzer="standard")
    lucene.call("add", doc_ids=["a", "b"], texts=["word", "word"])
    for segment in tmp_path.glob("_*"):
        segment.unlink()
    (tmp_path / "write.lock").unlink()
    with pytest.raises(RuntimeError, match=r"expected Java to finish, got '.+'"):
        lucene.call("finish", folder=str(tmp_path))


def test_damaged_index_is_an_error_that_names_it(lucene, tmp_path):
    search(lucene, tmp_path, "d")
    for segment in tmp_path.glob("segments_*"):
        segment.write_bytes(b"damaged")
    with pytest.raises(RuntimeError, match=rf"expected Java to search, got '.*{tmp_path}.*'"):
        lucene.call("search", folder=str(tmp_path), query_ids=["q"], texts=["word"], **BM25)


def test_killed_process_is_an_error():
    lucene = Lucene(threads=1)
    os.kill(lucene._process.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"got its end with exit status -9; it said: nothing. .*JAVA_TOOL_OPTIONS"):
        lucene.call("begin", folder="anywhere", analyzer="standard")
    lucene.close()


def test_java_without_memory_ends_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx16m")
    lucene = Lucene(threads=1)
    lucene.call("begin", folder=str(tmp_path), analyzer="standard")
    with pytest.raises(RuntimeError, match=r"exit status \d+; it said: .*OutOfMemoryError.*JAVA_TOOL_OPTIONS=-Xmx4g"):
        lucene.call("add", doc_ids=["d"], texts=["word " * 10_000_000])
    lucene.close()


def test_process_ends_with_its_parent():
    script = (
        "import os, signal\n"
        "from tasks.retrieve.lucene import Lucene\n"
        "lucene = Lucene(threads=1)\n"
        "print(lucene._process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, check=False)
    assert parent.returncode == -signal.SIGKILL
    child = int(parent.stdout)
    deadline = time.monotonic() + 20
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
