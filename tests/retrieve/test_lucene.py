"""The Java process: errors, sharing, and its end."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tasks.retrieve import lucene as module
from tasks.retrieve.lucene import Lucene, LuceneError, shared_lucene

pytestmark = pytest.mark.slow  # starts Java

REPOSITORY = Path(__file__).parents[2]


def search(lucene: Lucene, folder: Path, doc_id: str) -> list[list[tuple[str, float]]]:
    number = lucene.call("open", folder=str(folder), analyzer="standard", k1=0.9, b=0.4)
    lucene.call("add", number=number, doc_ids=[doc_id], texts=["word"])
    assert lucene.call("finish", number=number) == 1
    found = lucene.call("search", number=number, texts=["word", "none"], depth=3)
    lucene.call("close", number=number)
    return found


def test_java_exception_is_raised_with_its_message(lucene, tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder")
    with pytest.raises(LuceneError, match=r"expected Java to open, got 'java\.nio\.file\.\w+: .*file"):
        lucene.call("open", folder=str(file), analyzer="standard", k1=0.9, b=0.4)
    assert search(lucene, tmp_path / "after", "d")[1] == []


def test_threads_share_one_process(lucene, tmp_path):
    found = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: search(lucene, tmp_path / str(n), f"d{n}")}))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {n: ranking[0][0][0] for n, ranking in found.items()} == {n: f"d{n}" for n in range(4)}


def test_folder_without_java_is_an_error_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a Java runtime with lib/server/libjvm in java_home"):
        Lucene(java_home=str(tmp_path), heap_mb=128, threads=1)


def test_java_that_does_not_start_says_what_it_said(tmp_path):
    server = tmp_path / "lib" / "server"
    server.mkdir(parents=True)
    (server / "libjvm.so").write_bytes(b"not a library")
    broken = Lucene(java_home=str(tmp_path), heap_mb=128, threads=1)
    with pytest.raises(LuceneError, match=r"(?s)got its end with exit status \d+: .*libjvm.*java_home to a JDK 21"):
        broken.call("open", folder=str(tmp_path / "index"), analyzer="standard", k1=0.9, b=0.4)
    broken.close()


def test_sharing_starts_one_process_and_another_when_it_was_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.2)
    java = {"java_home": "", "heap_mb": 129, "threads": 1}
    with shared_lucene(**java) as first, shared_lucene(**java) as second:
        assert first is second
        os.kill(first._process.pid, signal.SIGKILL)
        with pytest.raises(LuceneError, match="got its end with exit status -9: it said nothing"):
            search(first, tmp_path / "1", "d")
        with shared_lucene(**java) as third:
            assert third is not first
            assert search(third, tmp_path / "2", "d")[0][0][0] == "d"
    deadline = time.monotonic() + 20
    while third.alive and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not third.alive  # nobody used it for a while


def test_process_ends_with_its_parent():
    script = (
        "import os, signal\n"
        "from tasks.retrieve.lucene import Lucene\n"
        "lucene = Lucene(java_home='', heap_mb=128, threads=1)\n"
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


@pytest.mark.skipif("POLYLOOM_JDK" not in os.environ, reason="needs a full JDK 21 or later: set POLYLOOM_JDK")
def test_a_full_jdk_breaks_thai_words(tmp_path):
    full = Lucene(java_home=os.environ["POLYLOOM_JDK"], heap_mb=256, threads=1)
    number = full.call("open", folder=str(tmp_path), analyzer="lucene:th", k1=0.9, b=0.4)
    full.call("add", number=number, doc_ids=["d"], texts=["กรุงเทพเป็นเมืองหลวงของประเทศไทย"])
    full.call("finish", number=number)
    assert full.call("search", number=number, texts=["ประเทศ"], depth=1)[0][0][0] == "d"
    full.close()
