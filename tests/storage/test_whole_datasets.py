"""Datasets handed on whole: to a program that knows no store, and to another dataset."""

import json
from pathlib import Path

import pytest
from support.datasets import FACTS, qrels

import storage
from storage import DamagedDataset, DatasetRef, Writer, backend, commit


def write_with_files(ref, tmp_path):
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True, exist_ok=True)
    (source / "a.txt").write_text("a")
    (source / "inner" / "b.txt").write_text("b")
    writer = Writer(ref)
    writer.write(qrels("d1"))
    writer.write(qrels("d2"))
    writer.add_folder(source, "model")
    return commit(writer, **FACTS)


def test_checkout_has_parts_files_and_manifest(ref, tmp_path):
    manifest = write_with_files(ref, tmp_path)
    folder = storage.checkout(ref)
    listed = json.loads((folder / "manifest.json").read_text())
    assert [part["name"] for part in listed["parts"]] == [part.name for part in manifest.parts]
    for part in [*manifest.parts, *manifest.files]:
        assert backend.checksum(folder / part.name) == part.sha256


@pytest.mark.parametrize("files", [{}, {"a.txt": "other"}, {"b.txt": "a"}, {"a.txt": "a", "b.txt": "a"}])
def test_content_changes_with_files_and_their_names(ref, tmp_path, files):
    def content(fingerprint, files):
        folder = tmp_path / fingerprint
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        writer = Writer(ref.model_copy(update={"fingerprint": fingerprint}))
        writer.write(qrels("d1"))
        writer.add_folder(folder, "model")
        return commit(writer, **FACTS).content

    given = content("a" * 32, {"a.txt": "a"})
    assert content("b" * 32, files) != given
    assert content("c" * 32, {"a.txt": "a"}) == given


def test_checkout_of_a_damaged_part_is_an_error(ref, tmp_path):
    manifest = write_with_files(ref, tmp_path)
    backend.put_bytes(b"x" * manifest.parts[0].bytes, f"{ref.uri}/{manifest.parts[0].name}")
    with pytest.raises(DamagedDataset, match="part-00000"):
        storage.checkout(ref)


def test_adopted_files_are_those_of_the_other_dataset(ref, tmp_path):
    manifest = write_with_files(ref, tmp_path)
    other = DatasetRef(kind="qrels", partition="all", fingerprint="e" * 32, root=ref.root)
    writer = Writer(other)
    writer.adopt(ref, "model")
    found = commit(writer, **FACTS)
    assert found.files == manifest.files
    assert (storage.folder(other) / "model" / "inner" / "b.txt").read_text() == "b"


def test_adopted_files_take_no_room_on_a_local_disk(tmp_path):
    ref = DatasetRef(kind="qrels", partition="all", fingerprint="f" * 32, root=str(tmp_path / "store"))
    other = ref.model_copy(update={"fingerprint": "e" * 32})
    write_with_files(ref, tmp_path)
    writer = Writer(other)
    writer.adopt(ref, "model")
    commit(writer, **FACTS)
    first, second = (Path(one.uri, "model", "a.txt") for one in (ref, other))
    assert first.stat().st_ino == second.stat().st_ino
    first.unlink()  # removing one dataset leaves the other
    assert storage.folder(other).joinpath("model", "a.txt").read_text() == "a"


def test_adopting_damaged_files_is_an_error(ref, tmp_path):
    write_with_files(ref, tmp_path)
    backend.put_bytes(b"z", f"{ref.uri}/model/a.txt")
    writer = Writer(DatasetRef(kind="qrels", partition="all", fingerprint="e" * 32, root=ref.root))
    with pytest.raises(DamagedDataset, match=r"model/a\.txt"):
        writer.adopt(ref, "model")


def test_a_whole_dataset_is_taken_over(ref, tmp_path):
    manifest = write_with_files(ref, tmp_path)
    other = ref.model_copy(update={"fingerprint": "e" * 32})
    for _ in range(2):  # again, as after a kill between the files and the manifest
        writer = Writer(other)
        writer.adopt(ref)
        found = commit(writer, **FACTS)
    assert (found.parts, found.files, found.columns) == (manifest.parts, manifest.files, manifest.columns)
    assert found.content == manifest.content
    assert storage.read(other).equals(storage.read(ref))
    assert not [name for name in backend.names(other.uri) if name.startswith(".tmp")]


def test_a_damaged_part_is_not_taken_over(ref, tmp_path):
    manifest = write_with_files(ref, tmp_path)
    backend.put_bytes(b"z", f"{ref.uri}/{manifest.parts[0].name}")
    with pytest.raises(DamagedDataset, match="part-00000"):
        Writer(ref.model_copy(update={"fingerprint": "e" * 32})).adopt(ref)
