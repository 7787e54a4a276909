import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.plan_batches.numbering import Finder, Numbering, hash_ids

IDS = st.lists(st.lists(st.integers(0, 60).map(str), max_size=40), max_size=6)


@settings(max_examples=30, deadline=None)
@given(IDS)
def test_numbers_equal_ids_alike_and_others_otherwise(frames):
    numbering = Numbering()
    numbers = [numbering.number(pl.Series(ids, dtype=pl.String)).tolist() for ids in frames]
    pairs = {
        (one, number) for ids, row in zip(frames, numbers, strict=True) for one, number in zip(ids, row, strict=True)
    }
    different = {one for ids in frames for one in ids}
    assert len(pairs) == len(different) == numbering.size
    assert sorted(number for _, number in pairs) == list(range(len(different)))


def test_sorted_ids_say_where_each_number_went():
    numbering = Numbering()
    first = numbering.number(pl.Series(["m", "z", "m"]))
    second = numbering.number(pl.Series(["a", "z"]))
    ids, place = numbering.sorted_ids()
    assert ids.to_list() == ["a", "m", "z"]
    assert place[first].tolist() == [1, 2, 1]
    assert place[second].tolist() == [0, 2]


def test_table_grows_and_keeps_its_numbers():
    numbering = Numbering()
    ids = pl.Series(np.arange(30_000)).cast(pl.String)
    before = numbering.number(ids[:100])
    numbering.number(ids)
    assert numbering.number(ids[:100]).tolist() == before.tolist()
    assert numbering.size == 30_000
    assert np.unique(numbering.number(ids)).size == 30_000


def test_find_does_not_know_new_ids():
    numbering = Numbering()
    numbering.number(pl.Series(["a"]))
    assert numbering.find(hash_ids(pl.Series(["b", "a"]))).tolist() == [-1, 0]
    assert Numbering().find(hash_ids(pl.Series(["b"]))).tolist() == [-1]


def test_finder_finds_places_and_runs():
    finder = Finder(pl.Series(["c", "a", "b"]))
    assert finder.find(pl.Series(["a", "a", "x", "c", "c", "a"])).tolist() == [1, 1, -1, 0, 0, 1]
    assert finder.find(pl.Series([], dtype=pl.String)).tolist() == []
    assert Finder(pl.Series([], dtype=pl.String)).find(pl.Series(["a"])).tolist() == [-1]
