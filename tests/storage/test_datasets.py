"""The commit protocol, on a local disk and behind an fsspec URL."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import fsspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from support.datasets import FACTS, qrels

import storage
from storage import AlreadyCommitted, DamagedDataset, MissingDataset, SchemaMismatch, Writer, backend, commit


def write(ref, *parts):
    writer = Writer(ref)
    for part in parts:
        writer.write(part)
    return commit(writer, **FACTS)


def flip_a_byte(uri: str) -> None:
    filesystem, path = fsspec.core.url_to_fs(uri)
    content = bytearray(filesystem.cat_file(path))
    content[len(content) // 2] ^= 1
    filesystem.pipe_file(path, bytes(content))


def test_reads_back_what_was_written(ref):
    write(ref, qrels("a", "b"), qrels("c"))
    assert storage.read(ref)["doc_id"].to_list() == ["a", "b", "c"]
    assert [part["doc_id"].to_list() for part in storage.iter_parts(ref)] == [["a", "b"], ["c"]]
    assert (storage.count(ref), storage.num_parts(ref)) == (3, 2)


def test_dataset_without_manifest_does_not_exist(ref):
    Writer(ref).write(qrels("a"))
    assert storage.find(ref) is None
    with pytest.raises(MissingDataset, match=r"expected manifest.json, found none. Run the pipeline"):
        storage.scan(ref)


def test_empty_dataset_keeps_its_columns(ref):
    write(ref)
    assert storage.read(ref).columns == ["query_id", "doc_id", "relevance"]


def test_flipped_byte_is_named_with_its_path(ref):
    manifest = write(ref, qrels("a"), qrels("b"))
    uri = f"{ref.uri}/{manifest.parts[1].name}"
    flip_a_byte(uri)
    with pytest.raises(
        DamagedDataset, match=r"part-00001.*: expected the checksum .*, got another\. Run the pipeline"
    ) as caught:
        storage.read(ref)
    assert caught.value.path == uri


def test_missing_part_is_named_with_its_path(ref):
    manifest = write(ref, qrels("a"))
    backend.remove(f"{ref.uri}/{manifest.parts[0].name}")
    with pytest.raises(DamagedDataset, match="expected a file of .* bytes, got none"):
        storage.check_dataset(ref, manifest)


def test_unreadable_manifest_is_damage(ref):
    write(ref, qrels("a"))
    backend.put_bytes(b"{", f"{ref.uri}/manifest.json")
    with pytest.raises(DamagedDataset, match="expected a manifest, got"):
        storage.load(ref)


def test_salvage_keeps_the_sound_shards(ref):
    writer = Writer(ref)
    for shard, doc in enumerate("abc"):
        writer.write(qrels(doc), shard=shard)
    manifest = commit(writer, **FACTS)
    flip_a_byte(f"{ref.uri}/{manifest.parts[1].name}")
    storage.salvage(ref)
    with pytest.raises(DamagedDataset):  # it stays what it was until it is built again
        storage.read(ref)
    again = Writer(ref)
    assert again.missing(3) == [1]
    again.write(qrels("b"), shard=1)
    assert commit(again, **FACTS).content == manifest.content
    assert storage.read(ref)["doc_id"].to_list() == ["a", "b", "c"]


def test_forgotten_shards_are_built_again_and_the_commit_stays(ref):
    manifest = write(ref, qrels("a"))
    storage.salvage(ref)
    assert Writer(ref).missing(1) == []
    assert not storage.begin(ref, "inputs", anew=True)
    assert Writer(ref).missing(1) == [0]
    assert storage.load(ref) == manifest


def test_shards_of_a_build_with_the_same_inputs_are_kept_and_those_of_another_are_not(ref):
    assert not storage.begin(ref, "inputs")
    Writer(ref).write(qrels("a"))
    assert storage.begin(ref, "inputs")
    assert Writer(ref).missing(1) == []
    assert not storage.begin(ref, "other inputs")
    assert Writer(ref).missing(1) == [0]
    write(ref, qrels("b"))
    assert not storage.begin(ref, "other inputs")  # nothing is left beside a commit


def test_killed_build_goes_on_from_its_shards(ref):
    killed = Writer(ref)
    killed.write(qrels("a"), shard=0)
    killed.write(qrels("c"), shard=2)
    resumed = Writer(ref)
    assert resumed.missing(3) == [1]
    resumed.write(qrels("b"), shard=1)
    commit(resumed, **FACTS)
    assert storage.read(ref)["doc_id"].to_list() == ["a", "b", "c"]


def test_commit_refuses_a_hole_between_shards(ref):
    writer = Writer(ref)
    writer.write(qrels("a"), shard=1)
    with pytest.raises(RuntimeError, match=r"expected shards 0..0, got \[1\]"):
        commit(writer, **FACTS)


def test_two_builds_at_once_leave_one_sound_dataset(ref):
    one, other = Writer(ref), Writer(ref)
    one.write(qrels("a"), shard=0)
    other.write(qrels("a"), shard=0)
    other.write(qrels("b"), shard=1)
    one.write(qrels("b"), shard=1)
    first = commit(one, **FACTS)
    second = commit(other, **FACTS)
    assert first.content == second.content
    storage.check_dataset(ref, storage.load(ref))
    assert storage.count(ref) == 2


def test_first_of_two_commits_at_once_counts_on_a_remote_store(ref):
    write(ref, qrels("a"))
    late = Writer(ref)
    late.write(qrels("b"))
    with pytest.raises(AlreadyCommitted):
        commit(late, only_new=True, **FACTS)
    assert storage.read(ref)["doc_id"].to_list() == ["a"]
    backend.put_bytes(b"one", "memory://only-new/file", only_new=True)
    with pytest.raises(FileExistsError):
        backend.put_bytes(b"two", "memory://only-new/file", only_new=True)
    assert backend.read_bytes("memory://only-new/file") == b"one"
    backend.remove("memory://only-new/file")


def test_equal_rows_give_equal_content(root, ref):
    other = ref.model_copy(update={"fingerprint": "e" * 32})
    assert write(ref, qrels("a")).content == write(other, qrels("a")).content


def test_folder_holds_the_added_files(ref, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "weights.bin").write_bytes(b"123")
    writer = Writer(ref)
    writer.add_folder(tmp_path / "in", "model")
    commit(writer, **FACTS)
    assert (storage.folder(ref) / "model" / "deep" / "weights.bin").read_bytes() == b"123"


def test_rejects_columns_that_are_not_the_kinds(ref):
    with pytest.raises(SchemaMismatch, match=r"dataset 'qrels': expected columns .*'relevance'\], got \['query_id'\]"):
        Writer(ref).write(pl.DataFrame({"query_id": ["a"]}))


def test_rejects_a_type_that_does_not_cast(ref):
    frame = qrels("a").with_columns(relevance=pl.lit("much"))
    with pytest.raises(SchemaMismatch, match=r"Cast in the step that writes it"):
        Writer(ref).write(frame)


def test_float16_vectors_survive(root):
    ref = storage.DatasetRef(kind="embeddings", partition="sw", fingerprint="f" * 32, root=root)
    frame = pl.DataFrame(
        {"id": ["a"], "vector": [[0.5, -1.0]]}, schema={"id": pl.String, "vector": pl.Array(pl.Float16, 2)}
    )
    write(ref, frame)
    assert_frame_equal(storage.read(ref), frame)


def test_kill_between_parts_leaves_nothing_half_written(tmp_path):
    code = textwrap.dedent(f"""
        import os, signal
        from storage import DatasetRef, Writer
        from support.datasets import qrels
        writer = Writer(DatasetRef(kind="qrels", partition="sw", fingerprint="f" * 32, root={str(tmp_path)!r}))
        writer.write(qrels("a"), shard=0)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"}
    killed = subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert killed.returncode == -9
    ref = storage.DatasetRef(kind="qrels", partition="sw", fingerprint="f" * 32, root=str(tmp_path))
    assert storage.find(ref) is None
    assert Writer(ref).missing(2) == [1]
