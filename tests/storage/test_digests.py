"""Digests are right, follow the bytes, and are remembered between processes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.datasets import qrels

from storage import digests, file_digest

CONTENT = b"some bytes"


@pytest.fixture(autouse=True)
def journal(tmp_path, monkeypatch):
    """Give the test a cache folder of its own; return the journal in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "polyloom" / "digests.txt"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a file"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def reads(monkeypatch):
    """List the files that are opened to be read."""
    opened = []
    real = digests.backend.open_file
    monkeypatch.setattr(digests.backend, "open_file", lambda uri: opened.append(uri) or real(uri))
    return opened


def test_digest_is_that_of_the_bytes(file):
    assert file_digest(file) == hashlib.sha256(CONTENT).hexdigest()
    assert file_digest(file, "blake2b") == hashlib.blake2b(CONTENT, digest_size=16).hexdigest()


def test_remote_file_has_the_digest_of_a_local_one(file):
    fsspec.filesystem("memory").pipe("/digests/a", CONTENT)
    assert file_digest("memory://digests/a") == file_digest(file)


def test_unchanged_file_is_read_once(file, reads):
    assert file_digest(file) == file_digest(str(file)) == file_digest(f"file://{file}")
    assert len(reads) == 1


def test_name_of_any_bytes_is_remembered(file, reads):
    odd = file.with_name("s\udce9\u2028 x")  # no UTF-8, and what Python takes for the end of a line
    file.rename(odd)
    for _ in range(2):
        digests._digests.cache_clear()  # as a new process has it
        assert file_digest(odd) == hashlib.sha256(CONTENT).hexdigest()
    assert len(reads) == 1


def test_changed_size_time_or_inode_is_read_again(file, reads):
    file_digest(file)
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    file_digest(file)
    copy = file.with_name("copy")
    copy.write_bytes(b"SOME BYTES")
    os.utime(copy, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    copy.replace(file)
    assert file_digest(file) == hashlib.sha256(b"SOME BYTES").hexdigest()
    file.write_bytes(b"more of them")
    file_digest(file)
    assert len(reads) == 4


def test_remote_file_is_read_again_when_it_was_written_again(reads):
    store = fsspec.filesystem("memory")
    store.pipe("/digests/b", b"one")
    first = file_digest("memory://digests/b")
    assert file_digest("memory://digests/b") == first
    store.pipe("/digests/b", b"two")
    assert file_digest("memory://digests/b") != first
    assert len(reads) == 2


def test_file_that_changes_while_it_is_read_is_not_remembered(file, monkeypatch, journal):
    real = digests.backend.open_file

    def open_and_change(uri):
        file.write_bytes(b"changed meanwhile")
        return real(uri)

    monkeypatch.setattr(digests.backend, "open_file", open_and_change)
    file_digest(file)
    assert not journal.exists()


def test_other_processes_find_and_add_digests(file, journal):
    code = "import sys; from storage import file_digest; print([file_digest(path) for path in sys.argv[1:]])"
    others = [file.with_name(f"other-{number}") for number in range(4)]
    for number, other in enumerate(others):
        other.write_bytes(b"%d" % number * 1000)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    running = [
        subprocess.Popen([sys.executable, "-c", code, file, *others], env=environment, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    told = {process.communicate()[0] for process in running}
    assert told == {f"{[file_digest(path) for path in (file, *others)]}\n".encode()}
    noted = {line.partition("/")[2] for line in journal.read_text().splitlines() if line}
    assert {f"/{path}" for path in noted} == {str(path) for path in (file, *others)}


@pytest.mark.parametrize("size", [1, 9, 70, -4])
def test_torn_line_of_a_killed_process_does_no_harm(file, journal, size):
    sound = file_digest(file)
    journal.write_bytes(journal.read_bytes()[:size])
    digests._digests.cache_clear()
    other = file.with_name("other")
    other.write_bytes(b"other")
    assert [file_digest(file), file_digest(other)] == [sound, hashlib.sha256(b"other").hexdigest()]
    digests._digests.cache_clear()
    assert [file_digest(file), file_digest(other)] == [sound, hashlib.sha256(b"other").hexdigest()]


def test_journal_that_is_mostly_old_versions_is_written_anew(file, journal, reads, monkeypatch):
    monkeypatch.setattr(digests, "_FEW_LINES", 10)
    other = file.with_name("other")
    other.write_bytes(b"other")
    file_digest(other)
    file_digest(other, "blake2b")
    for number in range(12):
        file.write_bytes(b"%d" % number * (number + 1))
        file_digest(file)
    digests._digests.cache_clear()  # as a new process has it
    kept = [file_digest(file), file_digest(other), file_digest(other, "blake2b")]
    assert len(reads) == 14
    assert [line for line in journal.read_text().split("\n") if line.endswith("a file")] == [
        f"{kept[0]} sha256 {file.stat().st_size} {file.stat().st_mtime_ns} {file.stat().st_ino} {file}"
    ]
    assert len(journal.read_text().split()) < 25
    file.write_bytes(b"added to the new journal")
    file_digest(file)
    digests._digests.cache_clear()
    assert file_digest(file) == hashlib.sha256(b"added to the new journal").hexdigest()
    assert [file_digest(other), file_digest(other, "blake2b")] == kept[1:]
    assert len(reads) == 15


def test_rows_of_a_parquet_file_are_read_once(tmp_path, reads):
    path = tmp_path / "rows.parquet"
    qrels("a", "b").write_parquet(path)
    assert [file_digest(path, "rows"), file_digest(path, "rows")] == ["2", "2"]
    assert len(reads) == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.binary(max_size=300))
def test_journal_of_any_bytes_does_no_harm(file, journal, text):
    sound = hashlib.sha256(CONTENT).hexdigest()
    for content in (text, text + journal.read_bytes() if journal.exists() else b""):
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.write_bytes(content)
        digests._digests.cache_clear()
        assert file_digest(file) == sound
    digests._digests.cache_clear()
    assert file_digest(file) == sound


def test_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        file_digest(tmp_path / "nothing")
