"""Copies of a remote store's files on this machine: made once, never rewritten, bounded, not taken from a reader."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from support.datasets import FACTS, qrels

import storage
from storage import DatasetRef, Writer, backend, commit, copies


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Give the test a cache folder of its own; return that of the copies."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    copies._begin.cache_clear()
    yield tmp_path / "cache" / "polyloom" / "copies"
    copies._begin.cache_clear()


@pytest.fixture
def ref(cache, s3_server):
    with s3_server.used():
        yield DatasetRef(kind="qrels", partition="sw", fingerprint="f" * 32, root=s3_server.new_root())


def write(ref, *docs, folder=None):
    writer = Writer(ref)
    for doc in docs:
        writer.write(qrels(doc))
    if folder:
        writer.add_folder(folder, "model")
    return commit(writer, **FACTS)


def copied(cache):
    return sorted(path for path in cache.iterdir() if not path.name.startswith("."))


def grow_old(cache):
    for number, path in enumerate(copied(cache)):
        os.utime(path, (1_000_000 + number, path.stat().st_mtime))


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"weights" * 1000)
    return tmp_path / "model"


def test_file_is_downloaded_once(ref, cache):
    write(ref, "a", "b")
    storage.read(ref)
    first = {path: path.stat().st_ino for path in copied(cache)}
    storage.read(ref)
    assert {path: path.stat().st_ino for path in copied(cache)} == first
    assert len(first) == 2


def test_damaged_copy_is_made_anew_and_the_open_one_stays_as_it_was(ref, cache):
    write(ref, "a")
    storage.read(ref)
    [copy] = copied(cache)
    copy.write_bytes(b"x" * copy.stat().st_size)
    with copy.open("rb") as mapped:
        assert storage.read(ref)["doc_id"].to_list() == ["a"]
        assert set(mapped.read()) == {ord("x")}
    assert copied(cache) == [copy]


def test_folder_is_never_rewritten_while_it_is_sound(ref, cache, model):
    manifest = write(ref, "a", folder=model)
    folder = storage.checkout(ref)
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}
    assert storage.checkout(ref) == folder
    assert {
        path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()
    } == before
    assert {str(path.relative_to(folder)) for path in before} == {
        "manifest.json",
        "model/weights.bin",
        manifest.parts[0].name,
    }


def test_damaged_folder_is_made_anew(ref, cache, model):
    write(ref, "a", folder=model)
    weights = storage.folder(ref) / "model" / "weights.bin"
    with weights.open("rb") as mapped:
        weights.unlink()
        weights.write_bytes(b"weightz" * 1000)
        assert storage.folder(ref) / "model" / "weights.bin" == weights
        assert weights.read_bytes() == mapped.read() == b"weights" * 1000


def test_many_readers_at_once_get_whole_files(ref, cache, model):
    write(ref, *"abcdef", folder=model)

    def look(_):
        return storage.read(ref)["doc_id"].to_list(), (storage.folder(ref) / "model" / "weights.bin").stat().st_size

    with ThreadPoolExecutor(6) as pool:
        assert set(map(str, pool.map(look, range(12)))) == {str((list("abcdef"), 7000))}
    assert len(copied(cache)) == 8  # six parts, the model's file, and its folder


def test_bytes_that_are_not_the_committed_ones_leave_no_copy(ref, cache):
    part = write(ref, "a").parts[0]
    fsspec.filesystem("s3").pipe(f"{ref.uri}/{part.name}", b"x" * part.bytes)
    with pytest.raises(storage.DamagedDataset, match="expected the checksum .*, got another"):
        storage.read(ref)
    assert copied(cache) == []
    assert not list(cache.glob(".tmp-*"))


def test_longest_unused_go_when_there_are_too_many(ref, cache):
    manifest = write(ref, "a", "b", "c")
    storage.read(ref)
    grow_old(cache)
    paths, size = copied(cache), manifest.parts[0].bytes
    assert copies.trim(limit=2 * size) == size
    assert copied(cache) == paths[1:]
    assert copies.trim(limit=2 * size) == 0
    assert copies.trim(limit=0) == 2 * size
    assert copied(cache) == []
    assert storage.read(ref)["doc_id"].to_list() == ["a", "b", "c"]


def test_bytes_of_a_file_and_of_its_folder_count_once(ref, cache, model):
    write(ref, folder=model)
    storage.folder(ref)
    grow_old(cache)
    assert copies.trim(limit=8000) == 0
    assert len(copied(cache)) == 2


def test_copy_that_was_used_within_a_week_stays(ref, cache):
    write(ref, "a", "b")
    storage.read(ref)
    assert copies.trim(limit=0) == 0
    grow_old(cache)
    storage.read(ref)
    assert copies.trim(limit=0) == 0
    assert len(copied(cache)) == 2


def test_what_a_killed_download_left_goes_after_a_week(cache):
    backend.spool("s3://bucket/x").write_bytes(b"old")
    backend.spool("s3://bucket/x").write_bytes(b"new")
    old, new = sorted(cache.glob(".tmp-*"), key=Path.read_bytes, reverse=True)
    os.utime(old, (time.time() - 8 * 24 * 3600,) * 2)
    copies.trim()
    assert list(cache.glob(".tmp-*")) == [new]
