"""Keeping promises: cached, built, rebuilt, resumed."""

import logging
from pathlib import Path

import polars as pl
import pytest
from support import loom
from support.datasets import FACTS
from support.loom import SURROUNDINGS, NumberConfig, double_numbers, make_numbers, sum_numbers, train_numbers

import storage
from storage import MissingDataset
from tasks.engine.build import build, state
from tasks.engine.turn import sweep, turn

LOG = logging.getLogger("polyloom.test")


@pytest.fixture
def root(tmp_path):
    loom.CALLS.clear()
    return str(tmp_path / "store")


def numbers(*values):
    return make_numbers("sw", config=NumberConfig(values=values or (1, 2)))


def replace(promise, root, values):
    """Commit other rows in the place of a Promise's."""
    writer = storage.Writer(promise.ref(root))
    writer.write(loom._rows(values))
    storage.commit(writer, **FACTS)


def test_built_dataset_is_cached(root):
    promise = numbers()
    assert state(promise, root).reason == "not built"
    build(promise, root, SURROUNDINGS)
    assert state(promise, root).cached
    assert storage.read(promise.ref(root))["relevance"].to_list() == [1, 2]


def test_manifest_tells_inputs_settings_and_cost(root):
    one = numbers()
    build(one, root, SURROUNDINGS)
    manifest, _ = build(double_numbers("sw", numbers=one, factor=2), root, SURROUNDINGS)
    assert [entry.fingerprint for entry in manifest.inputs] == [one.fingerprint]
    assert manifest.arguments["factor"] == 2
    assert manifest.versions["polars"] == pl.__version__
    assert manifest.peak_memory_bytes > 0


def test_missing_input_is_an_error_and_writes_nothing(root):
    promise = double_numbers("sw", numbers=numbers(), factor=2)
    with pytest.raises(MissingDataset, match="qrels/sw"):
        build(promise, root, SURROUNDINGS)
    assert storage.find(promise.ref(root)) is None


def test_damage_is_reported_and_rebuilt_with_equal_content(root):
    promise = numbers()
    before, _ = build(promise, root, SURROUNDINGS)
    path = storage.backend.local_path(promise.ref(root).uri) / before.parts[0].name
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = state(promise, root)
    assert found.damaged
    assert str(path) in found.reason
    assert build(promise, root, SURROUNDINGS)[0].content == before.content
    assert state(promise, root).cached


def test_input_rebuilt_with_equal_content_leaves_the_rest_cached(root):
    one = numbers()
    two = double_numbers("sw", numbers=one, factor=2)
    first, _ = build(one, root, SURROUNDINGS)
    build(two, root, SURROUNDINGS)
    build(one, root, SURROUNDINGS, replaces=first.number)
    assert state(two, root).cached


def test_input_with_other_content_makes_the_rest_stale(root):
    one = numbers()
    two = double_numbers("sw", numbers=one, factor=2)
    build(one, root, SURROUNDINGS)
    build(two, root, SURROUNDINGS)
    replace(one, root, [7])
    assert state(two, root).reason == "input numbers changed"
    build(two, root, SURROUNDINGS)
    assert storage.read(two.ref(root))["relevance"].to_list() == [14]


def test_refresh_builds_again(root):
    first, _ = build(numbers(), root, SURROUNDINGS)
    second, why = build(numbers(), root, SURROUNDINGS, replaces=first.number)
    assert (why, second.content) == ("refresh", first.content)
    assert loom.CALLS == ["make_numbers", "make_numbers"]


def test_refresh_takes_what_another_run_has_built_since(root):
    first, _ = build(numbers(), root, SURROUNDINGS)
    second, why = build(numbers(), root, SURROUNDINGS, replaces=first.number)
    assert why == "refresh"
    assert build(numbers(), root, SURROUNDINGS, replaces=first.number) == (second, "cached")
    assert loom.CALLS == ["make_numbers", "make_numbers"]


def test_a_commit_stays_readable_until_its_successor_is_complete(root, monkeypatch):
    promise = train_numbers("en")
    first, _ = build(promise, root, SURROUNDINGS)
    seen = []
    monkeypatch.setattr(loom, "BEFORE_READING", [lambda: seen.append(storage.read(promise.ref(root)).height)])
    second, _ = build(promise, root, SURROUNDINGS, replaces=first.number)
    assert seen == [2]
    assert (second.number, second.content) == (first.number + 1, first.content)


def test_a_refresh_that_fails_leaves_the_commit(root, monkeypatch):
    promise = train_numbers("en")
    first, _ = build(promise, root, SURROUNDINGS)
    monkeypatch.setattr(loom, "BEFORE_READING", [lambda: 1 / 0])
    with pytest.raises(ZeroDivisionError):
        build(promise, root, SURROUNDINGS, replaces=first.number)
    assert state(promise, root).manifest == first
    sweep(promise.ref(root))
    assert not (Path(promise.ref(root).uri) / "scratch").exists()


def test_damage_with_another_input_keeps_nothing_of_the_old_one(root):
    one = numbers(1, 2)
    two = double_numbers("sw", numbers=one, factor=2)
    build(one, root, SURROUNDINGS)
    before, _ = build(two, root, SURROUNDINGS)
    replace(one, root, [7])
    part = Path(two.ref(root).uri, before.parts[0].name)
    part.write_bytes(b"x" + part.read_bytes()[1:])
    assert build(two, root, SURROUNDINGS)[1] == "input numbers changed"
    assert storage.read(two.ref(root))["relevance"].to_list() == [14]


def test_a_killed_build_with_other_inputs_goes_on_from_nothing_and_with_the_same_from_its_scratch(root, monkeypatch):
    one, seen = numbers(1, 2), []

    def die_with(values):
        monkeypatch.setattr(loom, "BEFORE_READING", [lambda: 1 / 0])
        replace(one, root, values)
        with pytest.raises(ZeroDivisionError):
            build(two, root, SURROUNDINGS)
        storage.Writer(two.ref(root)).write(loom._rows(values))
        (Path(two.ref(root).uri) / "scratch" / "work" / "checkpoint").touch()

    def look():
        left = {path.name for path in Path(two.ref(root).uri).glob("scratch/work/*")}
        seen.append((sorted(left), storage.Writer(two.ref(root)).missing(1)))

    two = train_numbers("en", numbers=one)
    for values in ([1, 2], [7], [7, 8]):
        die_with(values)
        monkeypatch.setattr(loom, "BEFORE_READING", [look, lambda: 1 / 0])
        with pytest.raises(ZeroDivisionError):  # again with the same inputs
            build(two, root, SURROUNDINGS)
        replace(one, root, [*values, 0])
        monkeypatch.setattr(loom, "BEFORE_READING", [look])
        build(two, root, SURROUNDINGS)
    assert seen == [(["checkpoint"], []), ([], [0])] * 3


def test_on_a_remote_store_the_first_commit_counts(tmp_path, monkeypatch):
    """Another machine, where no lock reaches, commits in the middle of this build."""
    root = f"memory://builds-{tmp_path.name}"
    promise = train_numbers("en")

    def commit_elsewhere():
        monkeypatch.setattr(loom, "BEFORE_READING", [])
        replace(promise, root, [7])

    monkeypatch.setattr(loom, "BEFORE_READING", [commit_elsewhere])
    manifest, why = build(promise, root, SURROUNDINGS)
    assert why == "cached"
    assert manifest == state(promise, root).manifest
    assert storage.read(promise.ref(root))["relevance"].to_list() == [7]


def test_scratch_goes_with_the_commit(root):
    promise = numbers()
    build(promise, root, SURROUNDINGS)
    left = {path.name for path in storage.backend.local_path(promise.ref(root).uri).iterdir()}
    assert {name.partition("-")[0] for name in left} <= {"lock", "manifest.json", "part", "progress"}


def test_scratch_of_a_build_killed_after_its_commit_is_swept(root):
    promise = numbers()
    build(promise, root, SURROUNDINGS)
    folder = Path(promise.ref(root).uri)
    (folder / "scratch" / "work").mkdir(parents=True)
    (folder / "scratch" / "work" / "index").write_text("left behind")
    (folder / ".tmp-0").write_text("half a pa")
    sweep(promise.ref(root))
    assert not (folder / "scratch").exists()
    assert not list(folder.glob(".tmp-*"))
    assert state(promise, root).cached


def test_scratch_of_a_live_build_is_not_swept(root):
    promise = numbers()
    build(promise, root, SURROUNDINGS)
    folder = Path(promise.ref(root).uri)
    with turn(promise.ref(root), LOG):
        (folder / "scratch" / "work").mkdir(parents=True)
        sweep(promise.ref(root))
        assert (folder / "scratch" / "work").exists()


def test_stage_over_languages_sums_them(root):
    parts = {"sw": numbers(1), "en": make_numbers("en", config=NumberConfig(values=(5,)))}
    for part in parts.values():
        build(part, root, SURROUNDINGS)
    promise = sum_numbers(parts=parts)
    build(promise, root, SURROUNDINGS)
    assert storage.read(promise.ref(root))["relevance"].to_list() == [6]
