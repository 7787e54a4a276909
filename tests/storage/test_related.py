"""Which datasets belong together, in a store written by hand."""

import pytest
from support.datasets import FACTS

from storage import SCHEMAS, DatasetRef, Input, Writer, commit, load
from storage.inspect import resolve
from storage.related import find_related


@pytest.fixture
def put(tmp_path):
    """Return a function that commits an empty dataset, made at a given second from other datasets."""

    def write(name: str, second: int, *inputs: str, **arguments: object) -> str:
        kind, partition, fingerprint = name.split("/")
        writer = Writer(DatasetRef(kind=kind, partition=partition, fingerprint=fingerprint, root=str(tmp_path)))
        writer.write(SCHEMAS[kind].empty_table())
        entries = []
        for number, one in enumerate(inputs):
            kind, partition, fingerprint = one.split("/")
            ref = DatasetRef(kind=kind, partition=partition, fingerprint=fingerprint, root=str(tmp_path))
            entries.append(
                Input(
                    name=str(number),
                    kind=kind,
                    partition=partition,
                    fingerprint=fingerprint,
                    content=load(ref).content,
                )
            )
        facts = {**FACTS, "inputs": entries, "arguments": arguments, "created_at": f"2026-01-01T00:00:{second:02}"}
        commit(writer, **facts)
        return name

    return write


def names(related, kind):
    return [f"{ref.kind}/{ref.partition}/{ref.fingerprint}" for ref, _ in related.of(kind)]


def test_related_are_what_the_newest_plan_was_made_from(put, tmp_path):
    queries = put("queries/sw/q", 1)
    old = put("hard_negatives/sw/old", 2, queries)
    put("hard_negatives/sw/new", 3, queries)
    plan = put("batch_plan/all/p", 4, old)
    put("training_log/all/t", 5, plan)
    related = find_related(str(tmp_path), "sw")
    assert names(related, "hard_negatives") == [old]
    assert names(related, "training_log") == ["training_log/all/t"]
    assert related.ref("queries").fingerprint == "q"


def test_without_a_plan_the_newest_ledger_counts(put, tmp_path):
    queries = put("queries/sw/q", 1)
    put("hard_negatives/sw/b", 2, queries)
    put("hard_negatives/sw/a", 3, queries)
    assert names(find_related(str(tmp_path), "sw"), "hard_negatives") == ["hard_negatives/sw/a"]


def test_ledgers_of_a_bake_off_come_after_a_runs_own(put, tmp_path):
    queries = put("queries/sw/q", 1)
    own = put("hard_negatives/sw/own", 2, queries)
    other = put("hard_negatives/sw/other", 3, queries)
    put("bake_off/all/b", 4, own, other)
    assert names(find_related(str(tmp_path), "sw"), "hard_negatives") == [own]
    later = put("hard_negatives/sw/later", 5, queries)
    assert names(find_related(str(tmp_path), "sw"), "hard_negatives") == [later]


@pytest.mark.parametrize("second", [0, 2, 59])
def test_newest_is_what_was_committed_last_whatever_the_clock_says(put, tmp_path, second):
    queries = put("queries/sw/q", 30)
    put("hard_negatives/sw/z", 2, queries)
    put("hard_negatives/sw/b", 40, queries)
    late = put("hard_negatives/sw/a", second, queries)
    assert names(find_related(str(tmp_path), "sw"), "hard_negatives") == [late]
    assert str(resolve(str(tmp_path), "hard_negatives/sw")) == late
    commit(Writer(resolve(str(tmp_path), "hard_negatives/sw/z")), **FACTS)  # built again
    assert names(find_related(str(tmp_path), "sw"), "hard_negatives") == ["hard_negatives/sw/z"]


def test_of_two_ledgers_of_one_second_the_one_made_from_the_other_counts(put, tmp_path):
    queries = put("queries/sw/q", 1)
    first = put("hard_negatives/sw/z", 2, queries)
    filled = put("hard_negatives/sw/a", 2, queries, first)
    assert names(find_related(str(tmp_path), "sw"), "hard_negatives") == [filled, first]


def test_run_of_another_training_does_not_belong(put, tmp_path):
    stranger = put("training_log/all/s", 1)
    queries = put("queries/sw/q", 1)
    bm25 = put("run/sw/bm25", 2, queries, system="bm25")
    plan = put("batch_plan/all/p", 3, put("hard_negatives/sw/h", 2, queries))
    training = put("training_log/all/t", 4, plan)
    run = put("run/sw/own", 5, queries, training, system="trained")
    put("run/sw/strange", 6, queries, stranger, system="trained")
    assert names(find_related(str(tmp_path), "sw"), "run") == [run, bm25]


def test_only_allowed_datasets_are_begun_with(put, tmp_path):
    queries = put("queries/sw/q", 1)
    old = put("hard_negatives/sw/old", 2, queries)
    put("hard_negatives/sw/new", 3, queries)
    related = find_related(str(tmp_path), "sw", {tuple(old.split("/")), tuple(queries.split("/"))})
    assert names(related, "hard_negatives") == [old]


def test_empty_store_has_none(tmp_path):
    related = find_related(str(tmp_path), "sw")
    assert related.ref("queries") is None
    assert related.manifests == {}


def test_other_languages_datasets_stay_out(put, tmp_path):
    put("queries/en/q", 1)
    assert find_related(str(tmp_path), "sw").ref("queries") is None
