"""Manifests that someone else wrote, or that went wrong: damage, and nothing but that; nothing outside the folder."""

import contextlib
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.datasets import FACTS, qrels

import storage
from storage import DamagedDataset, DatasetRef, Writer, backend, commit, manifest
from storage.inspect import datasets, lineage
from storage.related import find_related

NAMES_THAT_CLIMB = [
    "../../../x", "/etc/passwd", "model/../../x", "model/./x", "model//x", "model\\..\\x", "model/x\0", "", ".", "..",
    "model/\x1b[2Jx", "model/\ud800", "model/" + "x" * 256, "a/" * 600 + "x", "plain", "model/", "~/x/\n",
]  # fmt: skip


@pytest.fixture
def content(ref, tmp_path):
    """Commit a dataset with a part and two files; return its manifest as JSON."""
    (tmp_path / "files" / "inner").mkdir(parents=True)
    for name in ("a.txt", "inner/b.txt"):
        (tmp_path / "files" / name).write_text(name)
    writer = Writer(ref)
    writer.write(qrels("d1", "d2"))
    writer.write(qrels("d3"))
    writer.add_folder(tmp_path / "files", "model")
    facts = {**FACTS, "inputs": [{"name": "q", "kind": "qrels", "partition": "sw", "fingerprint": "e", "content": "c"}]}
    return commit(writer, **facts).model_dump(mode="json")


def rewrite(ref, content):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    backend.put_bytes(text, f"{ref.uri}/manifest.json")


def check_refused(ref, content, match):
    rewrite(ref, content)
    with pytest.raises(DamagedDataset, match=match) as caught:
        storage.check_dataset(ref, storage.load(ref))
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    with pytest.raises(DamagedDataset, match=match):
        storage.checkout(ref)


@pytest.mark.parametrize("name", NAMES_THAT_CLIMB)
def test_names_that_lead_out_of_the_folder_are_damage(ref, content, name):
    content["files"][0]["name"] = name
    check_refused(ref, content, "expected a manifest, got")


@pytest.mark.parametrize("name", ["../../../x", "part-00000-0123456789ab.parquet", "part-00000.parquet"])
def test_parts_are_named_after_their_number_and_checksum(ref, content, name):
    content["parts"][0]["name"] = name
    check_refused(ref, content, "expected a manifest, got")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"parts": []}, "at least 1 item"),
        ({"parts": None}, "valid array"),
        ({"kind": "queries"}, "got that of queries/sw/"),
        ({"partition": "en"}, "got that of qrels/en/"),
        ({"fingerprint": "e" * 32}, "got that of qrels/sw/e"),
        ({"partition": "../sw"}, "expected a file name"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"created_at": "\x1b[2J"}, "created_at"),
        ({"number": -1}, "number"),
        ({"number": 2**70}, "number"),
        ({"seconds": float("nan")}, "seconds"),
        ({"peak_memory_bytes": "7"}, "peak_memory_bytes"),
        (
            {"inputs": [{"name": "q", "kind": "..", "partition": "..", "fingerprint": "x", "content": "c"}]},
            "expected a file name",
        ),
    ],
)
def test_fields_out_of_their_bounds_are_damage(ref, content, change, match):
    check_refused(ref, {**content, **change}, match)


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        ("rows", 1, "expected 1 rows, got 2"),
        ("rows", -2, "rows"),
        ("rows", True, "rows"),
        ("bytes", -1, "bytes"),
        ("bytes", 10**30, "bytes"),
        ("sha256", "f" * 63, "sha256"),
        ("sha256", "../../x", "sha256"),
    ],
)
def test_parts_that_say_something_wrong_are_damage(ref, content, field, value, match):
    content["parts"][0][field] = value
    rewrite(ref, content)
    with pytest.raises(DamagedDataset, match=match):
        storage.read(ref)
    with pytest.raises(DamagedDataset, match=match):
        storage.checkout(ref)


def test_a_part_that_is_no_parquet_file_is_damage(ref, content, tmp_path):
    (tmp_path / "text").write_bytes(b"PAR1 no columns PAR1")
    sha256 = backend.checksum(tmp_path / "text")
    name = manifest.part_name(0, sha256)
    backend.put(tmp_path / "text", f"{ref.uri}/{name}")
    rewrite(ref, {**content, "parts": [{"name": name, "rows": 0, "bytes": 20, "sha256": sha256}]})
    with pytest.raises(DamagedDataset, match="expected a Parquet file, got"):
        storage.read(ref)


@pytest.mark.parametrize("names", [["model/a", "model/a"], ["model/a", "model/a/b"], ["model/a/b/c", "model/a"]])
def test_files_over_one_another_are_damage(ref, content, names):
    content["files"] = [{**content["files"][0], "name": name} for name in names]
    check_refused(ref, content, "expected each file once")


def test_wrong_rows_are_built_again(ref, content):
    content["parts"][1]["rows"] = 100
    rewrite(ref, content)
    storage.salvage(ref)
    assert Writer(ref).missing(2) == [1]


@pytest.mark.parametrize("text", [b"", b"\0", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"kind": "qrels"'])
def test_anything_but_a_manifest_is_damage(ref, content, text):
    check_refused(ref, text, "expected a manifest, got")


def test_a_huge_manifest_is_damage_and_not_read(tmp_path):
    ref = DatasetRef(kind="qrels", partition="sw", fingerprint="f" * 32, root=str(tmp_path))
    Path(ref.uri).mkdir(parents=True)
    with Path(ref.uri, "manifest.json").open("wb") as file:
        file.truncate(manifest.MOST_BYTES * 100)
    with pytest.raises(DamagedDataset, match="expected at most"):
        storage.load(ref)


def test_foreign_files_and_folders_are_passed_over(tmp_path):
    root = str(tmp_path / "store")
    ref = DatasetRef(kind="qrels", partition="sw", fingerprint="f" * 32, root=root)
    writer = Writer(ref)
    writer.write(qrels("a"))
    for place in (root, f"{root}/qrels", f"{root}/qrels/sw", ref.uri, f"{ref.uri}/progress"):
        for name in (".DS_Store", ".tmp-0", "x.json", "manifest.json.bak"):
            Path(place, name).write_bytes(Path(ref.uri, "progress", "00000.json").read_bytes())
        Path(place, "lost+found").mkdir()
    Path(ref.uri, "progress", "00001.json").write_bytes(b"torn")
    Path(root, "qrels", "sw", "e" * 32, "manifest.json").mkdir(parents=True)
    again = Writer(ref)
    assert again.missing(2) == [1]
    again.write(qrels("b"), shard=1)
    commit(again, **FACTS)
    assert storage.read(ref)["doc_id"].to_list() == ["a", "b"]
    assert [found for found, _ in datasets(root)] == [ref]
    assert find_related(root, "sw", [ref]).ref("qrels") == ref


def test_damaged_ancestor_is_named_as_such_and_left_out(ref, content):
    """A dataset that is there was made from one whose manifest is torn and from one that is gone."""
    inputs = [{**content["inputs"][0], "name": name, "fingerprint": name * 32} for name in "ab"]
    rewrite(ref, json.dumps({**content, "inputs": inputs}).encode())
    backend.put_bytes(b"{", f"{ref.root}/qrels/sw/{'a' * 32}/manifest.json")
    assert [(name, found) for _, name, found in lineage(ref)][1:] == [("a", "damaged"), ("b", "gone")]
    asked = [ref, *(entry.ref(ref.root) for entry in storage.load(ref).inputs)]
    assert list(find_related(ref.root, ref.partition, asked).manifests) == [ref]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(NAMES_THAT_CLIMB),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_manifest_with_anything_in_it_is_sound_or_damage(content, ref, data):
    """Put anything anywhere, or flip bytes: what comes out is the dataset or `DamagedDataset`."""
    changed = json.loads(json.dumps(content))
    inner = data.draw(st.sampled_from([changed, changed["parts"][0], changed["files"][1], changed["inputs"][0]]))
    inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(JSON)
    text = bytearray(json.dumps(changed).encode())
    for place in data.draw(st.lists(st.integers(0, len(text) - 1), max_size=2)):
        text[place] = data.draw(st.integers(0, 255))
    rewrite(ref, bytes(text))
    with contextlib.suppress(DamagedDataset):
        storage.check_dataset(ref, storage.load(ref))
        assert isinstance(storage.read(ref), pl.DataFrame)
        storage.checkout(ref)
    list(datasets(ref.root))
    find_related(ref.root, "sw", [ref])
    storage.salvage(ref)
    assert set(Writer(ref).missing(3)) <= {0, 1, 2}
    storage.begin(ref, "inputs", anew=True)
    lineage(ref)
