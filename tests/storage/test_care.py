"""Care for a store: what verify finds, what gc would take, what differs between two datasets."""

import os
import shutil
import socket
import threading
import time
from pathlib import Path

import polars as pl
import pytest
from support.datasets import FACTS, qrels

from storage import DatasetRef, MissingDataset, Writer, care, commit, find, runs
from storage.runs import Run, RunDataset


@pytest.fixture
def root(tmp_path):
    return str(tmp_path / "store")


def put(root, fingerprint, *doc_ids):
    ref = DatasetRef(kind="qrels", partition="sw", fingerprint=fingerprint, root=root)
    writer = Writer(ref)
    writer.write(qrels(*doc_ids))
    commit(writer, **FACTS)
    return ref


def record(root, run_id, *refs, state="completed", **facts):
    made = [
        RunDataset(stage="ingest", step="s", kind=ref.kind, partition=ref.partition, fingerprint=ref.fingerprint)
        for ref in refs
    ]
    facts = {"name": "mine", "process": runs.this_process(), **facts}
    runs.write(root, Run(id=run_id, state=state, started_at="2026-01-01T00:00:00+00:00", datasets=made, **facts))


def test_verify_names_what_is_damaged_though_size_and_time_are_the_same(root):
    sound, broken = put(root, "a", "d1"), put(root, "b", "d1", "d2")
    assert care.verify(sound) == care.verify(broken) == []
    (part,) = Path(broken.uri).glob("part-*")
    before, content = part.stat(), bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns))
    (problem,) = care.verify(broken)
    assert str(part) in problem
    assert "differs from the manifest's" in problem
    part.unlink()
    assert "file missing" in care.verify(broken)[0]
    Path(sound.uri, "manifest.json").write_text("{")
    assert "expected a manifest" in care.verify(sound)[0]


def test_gc_keeps_the_newest_runs_and_what_goes_on(root):
    old, shared, new, live, failed = (put(root, name, "d1") for name in ("old", "shared", "new", "live", "failed"))
    record(root, "20260101-000000-aaaa", old, shared)
    record(root, "20260102-000000-bbbb", live, state="running")
    record(root, "20260103-000000-cccc", new, shared)
    record(root, "20260104-000000-dddd", failed, state="failed")
    assert {one.uri.removeprefix(root) for one in care.waste(root, 1)} == {
        "/runs/20260101-000000-aaaa.json",
        "/qrels/sw/old",
    }
    assert care.waste(root, 2) == []
    for one in care.waste(root, 1):
        care.remove(one)
    assert find(old) is None
    assert all(find(ref) for ref in (shared, new, live, failed))
    assert not os.path.exists(old.uri)
    assert care.waste(root, 1) == []


def test_gc_takes_interrupted_builds_and_old_temporary_files_but_not_a_living_runs(root):
    kept = put(root, "kept", "d1")
    record(root, "20260101-000000-aaaa", kept)
    for name in ("killed", "going"):
        Writer(DatasetRef(kind="qrels", partition="sw", fingerprint=name, root=root)).write(qrels("d1"))
    going = DatasetRef(kind="qrels", partition="sw", fingerprint="going", root=root)
    record(root, "20260102-000000-bbbb", going, state="running", name="other")
    for name, age in ((".tmp-new", 60), (".tmp-old", 200_000)):
        path = Path(kept.uri, name)
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    assert {(one.why, os.path.basename(one.uri)) for one in care.waste(root, 1)} == {
        ("interrupted build", "killed"),
        ("temporary file", ".tmp-old"),
    }


def test_gc_takes_reports_and_records_with_their_runs_a_killed_ones_too(root):
    ref = put(root, "kept", "d1")
    old, killed, kept, cached = (f"2026010{day}-000000-aaaa" for day in (1, 2, 3, 4))
    record(root, old, ref)
    record(root, killed, ref, state="running", process=f"{socket.gethostname()} {os.getpid()} 0")
    record(root, kept, ref)
    record(root, cached, ref, report=runs.report_uri(root, kept))
    for one in (old, killed, kept, runs.ABLATION):
        path = Path(runs.report_uri(root, one))
        path.parent.mkdir(exist_ok=True)
        path.write_text("<html>")
    gone = {f"{folder}/{one}" for one in (old, killed) for folder in ("runs", "reports")}
    assert {one.uri.removeprefix(f"{root}/").rpartition(".")[0] for one in care.waste(root, 2)} == gone
    newest = care.waste(root, 1)
    assert Path(runs.report_uri(root, kept)) not in [Path(one.uri) for one in newest]  # the newest run points to it
    for one in newest:
        care.remove(one)
    assert {path.stem for path in Path(root, "reports").iterdir()} == {kept, runs.ABLATION}
    assert runs.ids(root) == [cached]


def test_gc_takes_nothing_where_a_record_cannot_be_read(root):
    record(root, "20260101-000000-aaaa", put(root, "kept", "d1"))
    Path(root, "runs", "20260102-000000-bbbb.json").write_text("{")
    with pytest.raises(MissingDataset, match=r"bbbb\.json: expected the record of a run"):
        care.waste(root, 1)


def test_gc_looks_while_another_one_makes_and_removes_files(root):
    """As `adopt` and every build do; where it was not so, one of some ten looks met a place that had just gone."""
    record(root, "20260101-000000-aaaa", put(root, "kept", "d1"))
    done = threading.Event()

    def come_and_go():
        while not done.is_set():
            work = Path(root, "adopt", ".tmp-1", "work")
            work.mkdir(parents=True)
            (work / ".tmp-2").touch()
            shutil.rmtree(work.parent)

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        assert [care.waste(root, 1) for _ in range(300)] == [[]] * 300
    finally:
        done.set()
        other.join()


def test_differences_are_counted_by_key(root):
    one, two = put(root, "a", "d1", "d2", "d3"), put(root, "b", "d2", "d3", "d4", "d5")
    writer = Writer(DatasetRef(kind="qrels", partition="sw", fingerprint="c", root=root))
    writer.write(qrels("d1", "d2", "d3").with_columns(pl.Series("relevance", [1, 0, 1], dtype=pl.Int32)))
    commit(writer, **FACTS)
    assert care.differences(one, two) == {
        "key": ["query_id", "doc_id"],
        "added": 2,
        "removed": 1,
        "changed": 0,
        "columns": {},
    }
    assert care.differences(one, writer.ref)["columns"] == {"relevance": 1}
    with pytest.raises(ValueError, match="diff: expected two datasets of one kind"):
        care.differences(one, one.model_copy(update={"kind": "corpus"}))
