"""Which datasets belong together, in a store written by hand."""

import pytest
from support.datasets import FACTS

from storage import SCHEMAS, DatasetRef, Input, Writer, commit, load
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


def refs(root, *found):
    split = [one.split("/") for one in found]
    return [DatasetRef(kind=k, partition=p, fingerprint=f, root=str(root)) for k, p, f in split]


def test_related_are_a_runs_datasets_whatever_else_is_newer(put, tmp_path):
    queries = put("queries/sw/q", 1)
    own = put("hard_negatives/sw/own", 2, queries)
    put("hard_negatives/sw/new", 9, queries)
    plan = put("batch_plan/all/p", 4, own)
    related = find_related(str(tmp_path), "sw", refs(tmp_path, queries, own, plan))
    assert names(related, "hard_negatives") == [own]
    assert related.ref("batch_plan").fingerprint == "p"


def test_of_two_ledgers_the_one_made_from_the_other_counts(put, tmp_path):
    first = put("hard_negatives/sw/z", 2)
    filled = put("hard_negatives/sw/a", 2, first)
    related = find_related(str(tmp_path), "sw", refs(tmp_path, first, filled))
    assert names(related, "hard_negatives") == [filled, first]


def test_other_languages_and_what_is_gone_stay_out(put, tmp_path):
    there = refs(tmp_path, put("queries/en/q", 1), "corpus/sw/gone")
    assert find_related(str(tmp_path), "sw", there).manifests == {}
    assert find_related(str(tmp_path), "sw", there).ref("queries") is None
