"""After an upgrade: what is compared, what is taken over, what is left; on a disk and on S3."""

import contextlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from support import loom
from support.loom import SURROUNDINGS, NumberConfig, double_numbers, make_numbers, spread_numbers

import storage
from storage import backend, care
from storage.manifest import part_name
from tasks.engine.adopt import EQUAL, EQUAL_ROWS, WAITS, adopt
from tasks.engine.build import build, state

VALUES = (5, 6, 7, 8, 9, 10, 11, 12)


@pytest.fixture(params=["local", "s3"])
def root(request, tmp_path):
    loom.CALLS.clear()
    if request.param == "local":
        yield str(tmp_path / "store")
    else:
        server = request.getfixturevalue("s3_server")
        with server.used():
            yield server.new_root()


def upgrade(promise, root, *, name="e" * 32, code="earlier", seconds=80.0, renamed=(), change=None):
    """Build a dataset, and make the store look as if other code had: under another name, nothing under its own.

    `renamed` are inputs whose code has moved, too: pairs of the name now and then.
    """
    manifest, _ = build(promise, root, SURROUNDINGS)
    ref = promise.ref(root)
    earlier = ref.model_copy(update={"fingerprint": name})
    writer = storage.Writer(earlier)
    writer.adopt(ref)
    if change:
        change(writer)
    text = manifest.model_dump_json()
    for now, then in renamed:
        text = text.replace(now, then)
    manifest = storage.Manifest.model_validate_json(text)
    facts = {one: getattr(manifest, one) for one in ("step", "arguments", "inputs", "versions", "created_at")}
    content = storage.commit(writer, code=code, seconds=seconds, peak_memory_bytes=1, **facts)
    care.remove(care.Waste(ref.uri, "moved", 0))
    loom.CALLS.clear()
    return earlier, content


def pipeline():
    numbers = make_numbers("sw", config=NumberConfig(values=VALUES))
    return numbers, spread_numbers("sw", numbers=numbers)


def use(promises, root, at_most=0.0, trusted=(), surroundings=lambda promise: contextlib.nullcontext(SURROUNDINGS)):
    return list(adopt(promises, root, at_most=at_most, trusted=trusted, surroundings=surroundings))


def test_a_sample_is_computed_and_the_rest_taken(root):
    numbers, spread = pipeline()
    build(numbers, root, SURROUNDINGS)
    earlier, before = upgrade(spread, root)
    (found,) = use((numbers, spread), root, at_most=20.0)
    assert (found.result, found.why, found.sample) == ("taken", EQUAL, (2, 6))
    assert loom.CALLS == ["spread_numbers 2", "spread_numbers 6"]
    after = storage.load(spread.ref(root))
    assert state(spread, root).cached
    assert (after.content, after.code, after.seconds) == (before.content, spread.step.code, 80.0)
    assert after.adopted.model_dump() == {
        "fingerprint": "e" * 32,
        "code": "earlier",
        "why": "equal",
        "compared_parts": 2,
        "compared_rows": 4,
    }
    assert storage.load(earlier) == before
    assert care.verify(earlier) == care.verify(spread.ref(root)) == []
    assert not [name for name in backend.names(root) if name.startswith(".tmp")]
    assert use((numbers, spread), root) == []  # nothing is left to do


def test_what_is_taken_over_takes_no_room_on_a_disk(tmp_path):
    numbers, spread = pipeline()
    root = str(tmp_path)
    build(numbers, root, SURROUNDINGS)
    earlier, before = upgrade(spread, root)
    use((numbers, spread), root)
    for part in before.parts:
        assert Path(earlier.uri, part.name).samefile(Path(spread.ref(root).uri, part.name))


def test_a_changed_result_is_not_taken(root):
    numbers, spread = pipeline()
    build(numbers, root, SURROUNDINGS)
    earlier, before = upgrade(spread, root, change=lambda writer: writer.write(loom._rows([7, 70]), shard=2))
    (found,) = use((numbers, spread), root, at_most=20.0)
    assert (found.result, found.why, found.adopted()) == ("differs", "1 of 4 rows differ", None)
    assert state(spread, root).reason == "not built"
    assert storage.load(earlier) == before


def test_other_bytes_of_the_same_rows_are_equal(tmp_path):
    def other_library(writer):
        """Write the second shard's rows with another compression."""
        file = tmp_path / "part"
        pq.write_table(loom._rows([6, 6]).to_arrow().cast(storage.SCHEMAS["qrels"]), file, compression="gzip")
        sha256 = backend.checksum(file)
        part = storage.Part(name=part_name(1, sha256), rows=2, bytes=file.stat().st_size, sha256=sha256)
        backend.put(file, f"{writer.ref.uri}/{part.name}")
        writer._parts[1] = part

    root = str(tmp_path / "store")
    numbers, spread = pipeline()
    build(numbers, root, SURROUNDINGS)
    _, before = upgrade(spread, root, change=other_library)
    (found,) = use((numbers, spread), root, at_most=100.0)
    assert (found.result, found.why, len(found.sample)) == ("taken", EQUAL_ROWS, len(VALUES))
    assert storage.load(spread.ref(root)).content == before.content


def test_another_number_of_shards_differs(tmp_path):
    root = str(tmp_path)
    numbers, spread = pipeline()
    build(numbers, root, SURROUNDINGS)
    upgrade(spread, root, change=lambda writer: writer.write(loom._rows([1]), shard=len(VALUES)))
    (found,) = use((numbers, spread), root)
    assert (found.result, found.why) == ("differs", "8 parts instead of 9")


def test_where_only_inputs_code_moved_nothing_is_computed(tmp_path):
    root = str(tmp_path)
    numbers, spread = pipeline()
    build(numbers, root, SURROUNDINGS)
    upgrade(spread, root, code=spread.step.code, renamed=[(numbers.fingerprint, "d" * 32)])
    upgrade(numbers, root, name="d" * 32, seconds=0.5)
    first, second = use((numbers, spread), root, at_most=1.0)
    assert [(one.result, one.why) for one in (first, second)] == [("taken", EQUAL), ("taken", "same code")]
    assert loom.CALLS == ["make_numbers"]
    assert [entry.fingerprint for entry in storage.load(spread.ref(root)).inputs] == [numbers.fingerprint]
    assert storage.load(spread.ref(root)).adopted.compared_rows == 0
    assert state(spread, root).cached


def test_other_inputs_and_other_settings_are_no_match(tmp_path):
    root = str(tmp_path)
    numbers, spread = pipeline()
    build(numbers, root, SURROUNDINGS)
    upgrade(spread, root)
    other = make_numbers("sw", config=NumberConfig(values=(1, 2)))
    build(other, root, SURROUNDINGS)
    (found,) = use((other, spread_numbers("sw", numbers=other)), root)
    assert (found.result, found.why) == ("left", "none of these settings and inputs")
    upgrade(double_numbers("sw", numbers=numbers, factor=2), root, name="c" * 32)
    (found,) = use((numbers, double_numbers("sw", numbers=numbers, factor=3)), root, at_most=100.0)
    assert (found.result, found.why) == ("left", "none of these settings and inputs")


def test_what_takes_long_and_has_no_shards_is_taken_on_trust_alone(tmp_path):
    root = str(tmp_path)
    numbers, spread = pipeline()
    double = double_numbers("sw", numbers=numbers, factor=2)
    last = spread_numbers("sw", numbers=double)
    build(numbers, root, SURROUNDINGS)
    upgrade(double, root)
    found = use((numbers, double, last), root)
    assert [(one.result, one.why) for one in found] == [
        ("left", "takes 80.0 s: --at-most, --trust"),
        ("left", WAITS),
    ]
    found = use((numbers, double), root, trusted={"double_numbers"})
    assert [(one.result, one.why) for one in found] == [("taken", "trusted")]
    adopted = storage.load(double.ref(root)).adopted
    assert (adopted.why, adopted.compared_parts, loom.CALLS) == ("trusted", 0, [])


def test_without_surroundings_nothing_is_done(tmp_path):
    root = str(tmp_path)
    numbers, spread = pipeline()
    build(numbers, root, SURROUNDINGS)
    upgrade(spread, root, renamed=[(numbers.fingerprint, "d" * 32)])
    upgrade(numbers, root, name="d" * 32, seconds=0.5)
    before = sorted(Path(root).rglob("*"))
    found = use((numbers, spread), root, at_most=10.0, surroundings=None)
    assert [(one.result, one.sample) for one in found] == [("taken", (0,)), ("taken", (4,))]
    assert (loom.CALLS, sorted(Path(root).rglob("*"))) == ([], before)


def test_a_damaged_earlier_dataset_is_left(tmp_path):
    root = str(tmp_path)
    numbers, spread = pipeline()
    build(numbers, root, SURROUNDINGS)
    earlier, before = upgrade(spread, root)
    Path(earlier.uri, before.parts[0].name).write_bytes(b"x")
    (found,) = use((numbers, spread), root)
    assert found.result == "left"
    assert before.parts[0].name in found.why
    assert state(spread, root).reason == "not built"
