from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plan_data import Language, languages

from tasks.plan_batches.clashes import ease_clashes, find_clashes, mend_clashes

# a answers q1; the ledger finds it likely relevant to q2 as well.
FOUR = Language(
    "en",
    positives={"q1": ["a"], "q2": ["b"], "q3": ["c"], "q4": ["d"]},
    kept={},
    dropped={"q2": ["a"]},
    topic={"q1": 0, "q2": 0, "q3": 0, "q4": 1},
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def clashes_by_hand(language: Language, query: list[int], positive: list[int], batch: list[int]) -> list[int]:
    table, unsafe = language.table, language.unsafe
    ids, documents = table.query_ids.to_list(), table.document_ids.to_list()
    return [
        slot
        for slot in range(len(query))
        if any(
            other != slot and batch[other] == batch[slot] and documents[positive[other]] in unsafe[ids[query[slot]]]
            for other in range(len(query))
        )
    ]


def test_finds_the_query_that_sees_an_unsafe_positive():
    same = find_clashes(FOUR.table, np.array([0, 1, 2]), np.array([0, 1, 2]), np.array([0, 0, 0]))
    apart = find_clashes(FOUR.table, np.array([0, 1, 2]), np.array([0, 1, 2]), np.array([0, 1, 0]))
    assert same.tolist() == [1]
    assert apart.tolist() == []


def test_finds_a_query_that_is_twice_in_a_batch():
    assert find_clashes(FOUR.table, np.array([2, 2]), np.array([2, 2]), np.array([5, 5])).tolist() == [0, 1]


@settings(max_examples=20, deadline=None)
@given(languages("en"), st.integers(0, 100), st.integers(1, 5))
def test_finds_what_a_plain_loop_finds(language, seed, batch_size):
    table, draw = language.table, np.random.default_rng(seed)
    query = draw.integers(table.num_queries, size=20)
    positive = np.array([draw.choice(table.positives.of(np.array([one]))[1]) for one in query])
    batch = np.arange(20) // batch_size
    found = find_clashes(table, query, positive, batch)
    assert found.tolist() == clashes_by_hand(language, query.tolist(), positive.tolist(), batch.tolist())


def test_mends_a_clash_by_a_swap_with_another_batch():
    query, positive = np.array([0, 1, 2, 3]), np.array([0, 1, 2, 3])
    assert mend_clashes(FOUR.table, query, positive, np.arange(query.size) // 2, num_fixed=0, rng=rng())
    assert sorted(query.tolist()) == [0, 1, 2, 3]
    assert {0, 1} not in ({*query[:2].tolist()}, {*query[2:].tolist()})


def test_mends_a_clash_by_another_positive_before_any_swap():
    both = Language("en", {"q1": ["a", "e"], "q2": ["b"]}, {}, {"q2": ["a"]}, {"q1": 0, "q2": 0})
    query, positive = np.array([0, 1]), np.array([0, 1])
    assert mend_clashes(both.table, query, positive, np.arange(query.size) // 2, num_fixed=0, rng=rng())
    assert query.tolist() == [0, 1]
    assert both.table.document_ids[int(positive[0])] == "e"


def test_fixed_slots_stay():
    # The unfinished batch already holds q1; q2 must not join it.
    for seed in range(10):
        query, positive = np.array([0, 1, 2, 3, 0]), np.array([0, 1, 2, 3, 0])
        draw = np.random.default_rng(seed)
        assert mend_clashes(FOUR.table, query, positive, np.arange(query.size) // 2, num_fixed=1, rng=draw)
        assert query[0] == 0
        assert query[1] in (2, 3)


def test_leaves_clean_batches_alone():
    query, positive = np.array([0, 2, 1, 3]), np.array([0, 2, 1, 3])
    assert mend_clashes(FOUR.table, query, positive, np.arange(query.size) // 2, num_fixed=0, rng=rng())
    assert query.tolist() == [0, 2, 1, 3]


@pytest.mark.parametrize("batch_size", [2, 4])
def test_says_so_when_nothing_helps(batch_size):
    shared = Language("en", dict.fromkeys("abcd", ["x"]), {}, {}, dict.fromkeys("abcd", 0))
    query, positive = np.arange(4), np.zeros(4, dtype=np.int64)
    assert not mend_clashes(shared.table, query, positive, np.arange(query.size) // batch_size, num_fixed=0, rng=rng())


def test_copies_clash():
    copies = Language("en", {"q1": ["a"], "q2": ["b"], "q3": ["c"]}, {}, {}, dict.fromkeys(("q1", "q2", "q3"), 0))
    given = np.arange(3), np.arange(3), np.zeros(3, dtype=np.int64)
    assert find_clashes(copies.table, *given).tolist() == []
    texts = {"a": "Ａ  copy", "b": "a COPY ", "c": "no copy"}
    assert find_clashes(replace(copies, documents=texts).table, *given).tolist() == [0, 1]


@settings(max_examples=20, deadline=None)
@given(languages("en"), st.integers(0, 100), st.integers(2, 6))
def test_easing_never_adds_a_clash_nor_loses_a_query(language, seed, batch_size):
    table, draw = language.table, np.random.default_rng(seed)
    query = draw.permutation(table.num_queries)
    positive = np.array([draw.choice(table.positives[one]) for one in query])
    batch = np.arange(query.size) // batch_size

    def pairs() -> int:
        num_pairs = 0
        for one in range(query.size):
            beside = [other for other in np.flatnonzero(batch == batch[one]) if other != one]
            seen = table.identity[positive[beside]]
            num_pairs += int(np.isin(seen, table.unsafe[int(query[one])]).sum())
        return num_pairs

    before = pairs()
    ease_clashes(table, query, positive, batch, num_fixed=0, rng=draw)
    assert pairs() <= before
    assert sorted(query.tolist()) == list(range(table.num_queries))
    assert all(position in table.positives[int(one)] for one, position in zip(query, positive, strict=True))


def test_easing_mends_what_can_be_mended_beside_what_cannot():
    # All four of the first pair of batches answer with x; q1 and q2 of FOUR can be parted.
    positives = {**FOUR.positives, "x1": ["x"], "x2": ["x"], "x3": ["x"], "x4": ["x"]}
    mixed = replace(FOUR, positives=positives, topic=dict.fromkeys(positives, 0))
    query = np.array([0, 1, 4, 5, 2, 3, 6, 7])
    positive = np.array([int(mixed.table.positives[int(one)][0]) for one in query])
    batch = np.arange(8) // 4
    assert find_clashes(mixed.table, query, positive, batch).tolist() == [1, 2, 3, 6, 7]
    ease_clashes(mixed.table, query, positive, batch, num_fixed=0, rng=rng())
    clashing = query[find_clashes(mixed.table, query, positive, batch)]
    assert sorted(clashing.tolist()) == [4, 5, 6, 7]
