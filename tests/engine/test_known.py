"""What is new costs what is new: rows of an earlier dataset, by their texts. Here a step counts letters."""

import logging
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support.loom import SURROUNDINGS
from support.steps import declare

import storage
from storage import DatasetRef
from tasks.engine.build import build
from tasks.engine.earlier import find_earlier, find_takeover
from tasks.engine.job import Job
from tasks.engine.known import Known, text_digests
from tasks.engine.step import Promise

COMPUTED: list[str] = []  # texts whose letters were counted, in order
DIES_AT: list[str] = []  # a text at which a build is killed

Documents = tuple[tuple[str, str], ...]
FIRST: Documents = (("d1", "one"), ("d2", "three"), ("d3", "seven"), ("d4", "eleven"), ("d5", "thirteen"))


@declare(produces="queries")
def write_texts(job: Job, *, documents: Documents, split: str = "train", size: int = 2) -> None:
    """Write some texts."""
    names = ["query_id", "text", "split", "origin", "parent"]
    rows = [(name, text, split, "given", None) for name, text in documents]
    table = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
    for start in range(0, len(table), size):
        job.out.write(table[start : start + size])


@declare(produces="tokens", texts=("texts",))
def count_letters(job: Job, *, texts: DatasetRef, weight: DatasetRef, factor: int = 1) -> None:
    """Count the letters of each text, times a factor and the number of weights."""

    def shards_of(given):
        return (part.select("text", id="query_id") for part in storage.iter_parts(given["texts"]))

    known = Known(job.earlier, shards_of, log=job.log)
    missing = job.out.missing(storage.num_parts(texts))
    for number, shard in enumerate(shards_of({"texts": texts})):
        if number in missing:
            split = known.split(shard)
            for text in split.new["text"]:
                if text in DIES_AT:
                    raise KeyboardInterrupt(text)
            COMPUTED.extend(split.new["text"])
            counts = split.new["text"].str.len_chars().cast(pl.Int32) * factor * storage.count(weight)
            rows = split.new.select(role=pl.lit("query"), language=pl.lit("en"), id="id", num_tokens=counts)
            job.out.write(split.joined(rows), shard=number, taken=split.taken)


@pytest.fixture
def root(tmp_path):
    COMPUTED.clear()
    DIES_AT.clear()
    return str(tmp_path / "store")


def letters(documents: Documents, *, split: str = "train", factor: int = 1, weights: Documents = FIRST[:1]) -> Promise:
    return count_letters(
        "en",
        texts=write_texts("en", documents=documents, split=split),
        weight=write_texts("all", documents=weights),
        factor=factor,
    )


def built(promise: Promise, root: str, **options) -> storage.Manifest:
    for needed in promise.inputs.values():
        build(needed, root, SURROUNDINGS)
    COMPUTED.clear()
    return build(promise, root, SURROUNDINGS, **options)[0]


def check(documents: Documents, computed: list[str], root: str, tmp_path: Path) -> None:
    """Build after `FIRST`, and see what was computed and that the result is that of a build from nothing."""
    built(letters(FIRST), root)
    manifest = built(letters(documents), root)
    assert computed == COMPUTED
    assert (manifest.rows, manifest.taken) == (len(documents), len(documents) - len(computed))
    nothing = built(letters(documents), str(tmp_path / "nothing"))
    assert (nothing.taken, nothing.content) == (0, manifest.content)


@pytest.mark.parametrize(
    ("documents", "computed"),
    [
        ((*FIRST, ("d6", "seventeen"), ("d0", "two")), ["seventeen", "two"]),
        ((("d0", "two"), *FIRST), ["two"]),
        ((FIRST[0], ("d2", "other"), *FIRST[2:]), ["other"]),
        ((("x", "seven"), ("d1", "three"), ("d3", "one")), []),
        ((FIRST[4], FIRST[1]), []),
        (FIRST[::-1], []),
        ((("a", "seven"), ("b", "seven"), ("c", "Seven")), ["Seven"]),
        ((("d1", ""), ("d2", "\0one")), ["", "\0one"]),
    ],
    ids=["added", "added in front", "changed", "other ids", "removed", "other order", "twice", "nearly the same"],
)
def test_rows_of_texts_that_were_there_are_taken_over(documents, computed, root, tmp_path):
    check(documents, computed, root, tmp_path)


def test_a_damaged_earlier_part_is_computed_again(root, tmp_path, caplog):
    earlier = built(letters(FIRST), root)
    path = Path(letters(FIRST).ref(root).uri, earlier.parts[1].name)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with caplog.at_level(logging.WARNING, "polyloom"):
        check_after_damage = built(letters(FIRST[::-1]), root)
    assert COMPUTED == ["eleven", "seven"]
    assert check_after_damage.content == built(letters(FIRST[::-1]), str(tmp_path / "nothing")).content
    assert "not taken over but computed again" in caplog.text


@pytest.mark.parametrize("lost", ["part", "texts"])
def test_what_goes_while_a_build_reads_it_is_computed_again(lost, root):
    """`gc` in another process, between the look at the texts and the look at the rows."""
    earlier = built(letters(FIRST), root)
    wanted = letters(FIRST[::-1])
    build(wanted.inputs["texts"], root, SURROUNDINGS)
    found = find_earlier(wanted, root)
    assert found is not None
    shards = [part.select("text", id="query_id") for part in storage.iter_parts(wanted.inputs["texts"].ref(root))]

    def shards_of(given):
        for number, part in enumerate(storage.iter_parts(given["texts"])):
            if number == 1 and lost == "texts":
                shutil.rmtree(given["texts"].uri)
            yield part.select("text", id="query_id")

    known = Known(found, shards_of, log=logging.getLogger("polyloom.test"))
    if lost == "part":
        Path(found.ref.uri, earlier.parts[2].name).unlink()
    new = [text for shard in shards for text in known.split(shard).new["text"]]
    assert new == ["thirteen"]


@pytest.mark.parametrize("changed", [{"factor": 2}, {"split": "dev"}, {"weights": FIRST[:2]}])
def test_nothing_is_taken_over_where_anything_else_differs(changed, root):
    built(letters(FIRST), root)
    manifest = built(letters(FIRST[1:], **changed), root)
    assert manifest.taken == 0
    assert sorted(COMPUTED) == sorted(text for _, text in FIRST[1:])


def test_nothing_is_taken_over_where_the_texts_are_gone_or_in_a_refresh(root):
    first = built(letters(FIRST), root)
    again = built(letters(FIRST), root, replaces=first.number)
    assert (again.taken, again.content) == (0, first.content)
    shutil.rmtree(letters(FIRST).inputs["texts"].ref(root).uri)
    assert built(letters(FIRST[1:]), root).taken == 0


def test_the_newest_earlier_dataset_counts(root):
    built(letters(FIRST[:3]), root)
    built(letters(FIRST), root)
    assert built(letters(FIRST[1:]), root).taken == 4


def test_a_killed_build_goes_on_and_counts_what_it_had_taken_over(root):
    built(letters(FIRST), root)
    documents = (("d0", "two"), *FIRST[:3], ("d9", "nine"), FIRST[4])
    DIES_AT.append("nine")
    with pytest.raises(KeyboardInterrupt, match="nine"):
        built(letters(documents), root)
    assert COMPUTED == ["two"]
    DIES_AT.clear()
    manifest = built(letters(documents), root)
    assert COMPUTED == ["nine"]
    assert [part.taken for part in manifest.parts] == [1, 2, 1]


def test_a_share_of_the_shards_is_right_by_itself(root):
    """Worker processes have a share each: what one takes over does not depend on what another does."""
    built(letters(FIRST), root)
    wanted = letters(FIRST[::-1])
    for needed in wanted.inputs.values():
        build(needed, root, SURROUNDINGS)
    writer = storage.Writer(wanted.ref(root), share=lambda shard: shard == 1)
    storage.begin(wanted.ref(root), "x")
    job = SURROUNDINGS.job(wanted.step.name, writer, Path(root), SURROUNDINGS.progress, find_earlier(wanted, root))
    wanted.run(job, root)
    (part,) = writer.parts
    assert (part.name[:10], part.taken) == ("part-00001", 2)


def test_what_will_be_taken_over_is_said_beforehand(root):
    assert find_takeover(letters(FIRST), root) is None
    first = letters(FIRST)
    built(first, root)
    wanted = letters((("d0", "two"), *FIRST[1:]))
    assert (
        str(find_takeover(wanted, root)) == f"takes over those of the 5 rows whose texts are there ({first.ref(root)})"
    )
    build(wanted.inputs["texts"], root, SURROUNDINGS)
    assert str(find_takeover(wanted, root)) == f"takes over 4 rows ({first.ref(root)})"
    assert find_takeover(letters(FIRST, factor=2), root) is None


def test_digests_tell_rows_apart_however_their_texts_are_cut():
    rows = pl.DataFrame({"a": ["ab", "a", "ab", "a"], "b": ["c", "bc", "c", "b"], "c": [["x"], ["x"], ["x"], None]})
    digests = text_digests(rows, ["a", "b", "c"])
    assert digests.shape == (4, 2)
    assert np.array_equal(digests[0], digests[2])
    assert len(np.unique(digests, axis=0)) == 3
    assert text_digests(rows[:0], ["a"]).shape == (0, 2)
