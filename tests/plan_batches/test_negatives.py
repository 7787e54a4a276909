from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plan_data import Language, languages, plain_language

from tasks.plan_batches.negatives import find_not_negatives, sample_negatives


def sample(language: Language, batches: list[list[str]], num_negatives: int, seed: int = 0) -> list[list[list[str]]]:
    table = language.table
    number = {query: index for index, query in enumerate(table.query_ids)}
    query = np.array([[number[one] for one in batch] for batch in batches])
    batch = np.repeat(np.arange(len(batches)), len(batches[0]))
    rng = np.random.default_rng(seed)
    drawn = sample_negatives(table, query.reshape(-1), batch, num_negatives=num_negatives, rng=rng)
    drawn = drawn.reshape(*query.shape, num_negatives)
    documents = table.document_ids.to_list()
    return [[[documents[one] for one in slot] for slot in batch] for batch in drawn.tolist()]


ONE_BATCH = [["en000", "en001"]]


def test_draws_different_kept_negatives_hardest_first():
    for batch in sample(plain_language("en", 2), ONE_BATCH * 50, 4):
        for query, negatives in zip(ONE_BATCH[0], batch, strict=True):
            assert len(set(negatives)) == 4
            assert all(one.startswith(f"{query}-") for one in negatives)
            assert negatives == sorted(negatives)  # named by hardness


def test_draws_every_kept_negative_equally_often():
    drawn = Counter(one for batch in sample(plain_language("en", 2), ONE_BATCH * 2000, 3) for one in batch[0])
    # 2000 draws of 3 out of 10: 600 each, standard deviation 20.
    assert len(drawn) == 10
    assert all(abs(count - 600) < 5 * 20.5 for count in drawn.values())


def test_draws_equally_often_from_the_safe_rest_too():
    # q2 finds k0 relevant: it never stands in their batch, and the others share its place.
    language = Language(
        "en", {"q1": ["a"], "q2": ["b"]}, {"q1": [f"k{n}" for n in range(6)]}, {"q2": ["k0"]}, {"q1": 0, "q2": 0}
    )
    drawn = Counter(one for batch in sample(language, [["q1", "q2"]] * 2000, 2) for one in batch[0])
    assert set(drawn) == {"k1", "k2", "k3", "k4", "k5"}
    assert all(abs(count - 800) < 5 * 22 for count in drawn.values())


def test_passes_over_a_kept_negative_that_is_anothers_positive():
    language = Language("en", {"q1": ["a"], "q2": ["b"]}, {"q1": ["b", "c", "d"]}, {}, {"q1": 0, "q2": 0})
    assert sample(language, [["q1", "q2"]], 2)[0][0] == ["c", "d"]


def test_other_batches_do_not_matter():
    language = Language(
        "en",
        {"q1": ["a"], "q2": ["b"], "q3": ["e"], "q4": ["f"]},
        {"q1": ["b", "c"]},
        {},
        dict.fromkeys(["q1", "q2", "q3", "q4"], 0),
    )
    batches = sample(language, [["q1", "q3"], ["q2", "q4"]], 2)
    assert batches[0][0] == ["b", "c"]


def test_fills_up_with_random_safe_documents_behind_the_kept_ones():
    kept = {"q1": ["k"], "q3": [f"x{n}" for n in range(5)]}
    language = Language(
        "en", {"q1": ["a"], "q2": ["b"], "q3": ["e"]}, kept, {"q2": ["x0"]}, dict.fromkeys(["q1", "q2", "q3"], 0)
    )
    seen = set()
    for seed in range(50):
        first, *filled = sample(language, [["q1", "q2"]], 4, seed)[0][0]
        assert first == "k"
        assert len(set(filled)) == 3
        seen.update(filled)
    assert seen == {"x1", "x2", "x3", "x4", "e"}


def test_fills_up_exactly_when_just_enough_documents_are_safe():
    language = Language("en", {"q1": ["a"], "q2": ["b"]}, {"q1": [f"k{n}" for n in range(40)]}, {}, {"q1": 0, "q2": 0})
    assert sorted(sample(language, [["q1", "q2"]], 40)[0][1]) == sorted(f"k{n}" for n in range(40))


def test_rejects_a_language_with_too_few_safe_documents():
    language = Language("en", {"q1": ["a"], "q2": ["b"]}, {"q1": ["k"]}, {}, {"q1": 0, "q2": 0})
    with pytest.raises(ValueError, match="3 documents of 'en' that are safe negatives for query 'q1', got 2 of 3"):
        sample(language, [["q1", "q2"]], 3)


def test_takes_what_is_safe_for_its_own_query_where_the_batch_leaves_too_little_the_hard_ones_first():
    # Safe for both is k alone. q1 may also have b, which it found itself, and c; never a.
    language = Language(
        "en", {"q1": ["a"], "q2": ["b"]}, {"q1": ["k", "b"]}, {"q2": ["c"], "q1": ["d"]}, {"q1": 0, "q2": 0}
    )
    for seed in range(10):
        assert sample(language, [["q1", "q2"]], 2, seed)[0][0] == ["k", "b"]
        first, second = sample(language, [["q1", "q2"]], 3, seed)[0]
        assert first == ["k", "b", "c"]
        assert (second[0], {*second[1:]}) == ("k", {"a", "d"})


def test_a_copy_of_what_is_unsafe_is_unsafe():
    texts = {"a": "The answer.", "k1": "the  ANSWER. ", "k2": "The answer", "x": "Drop ﬁle", "k3": "drop file"}
    language = Language(
        "en",
        {"q1": ["a"], "q2": ["b"]},
        {"q1": ["k1", "k2", "k4"], "q2": ["k3", "k2", "k1", "k5"]},
        {"q1": ["x"]},
        {"q1": 0, "q2": 0},
        documents=texts,
    )
    assert sample(language, [["q1", "q2"]], 2) == [[["k2", "k4"], ["k2", "k5"]]]


def test_finds_what_is_no_negative_in_a_batch_by_hand():
    texts = {"a": "same", "A": "Same"}
    language = Language(
        "en",
        {"q1": ["a"], "q2": ["A"], "q3": ["c"], "q4": ["a"]},
        {},
        {"q3": ["n"], "q4": ["z"]},
        dict.fromkeys(["q1", "q2", "q3", "q4"], 0),
        documents=texts,
    )
    table = language.table
    number = {name: place for place, name in enumerate(table.document_ids)}  # A a c n z
    rows = [["a", "n"], ["A", "z"], ["c", "n"], ["a", "n"]]
    document = np.array([[number[name] for name in row] for row in rows])
    slot, found = find_not_negatives(table, np.arange(4), np.array([0, 0, 0, 1]), document)
    pairs = [(table.query_ids[int(q)], table.document_ids[int(d)]) for q, d in zip(slot, found, strict=True)]
    assert pairs == [("q1", "A"), ("q2", "a"), ("q3", "n")]  # q4 is alone in its batch, and has no z in it
    both = find_not_negatives(table, np.array([0, 3]), np.array([7, 7]), document[[0, 3]])
    assert [one.tolist() for one in both] == [[0, 1], [number["a"], number["a"]]]  # brought by the other one


def test_draws_nothing_when_no_negatives_are_asked_for():
    assert sample(plain_language("en", 2), ONE_BATCH, 0) == [[[], []]]


@settings(max_examples=20, deadline=None)
@given(languages("en"), st.integers(1, 4), st.integers(0, 5), st.integers(0, 100))
def test_draws_what_is_unsafe_for_a_query_of_the_batch_only_where_nothing_else_is_left(
    language, batch_size, num_negatives, seed
):
    queries = list(language.positives)
    batches = [queries[first : first + batch_size] for first in range(0, len(queries) - batch_size + 1, batch_size)]
    barred = [set().union(*(language.unsafe[query] for query in batch)) for batch in batches]
    pool = set(language.table.document_ids)
    if any(len(pool - language.unsafe[query]) < num_negatives for batch in batches for query in batch):
        with pytest.raises(ValueError, match="that are safe negatives"):
            sample(language, batches, num_negatives, seed)
        return
    drawn = sample(language, batches, num_negatives, seed)
    for batch, slots, unsafe in zip(batches, drawn, barred, strict=True):
        for query, negatives in zip(batch, slots, strict=True):
            assert len(unsafe & set(negatives)) == max(0, num_negatives - len(pool - unsafe))
            assert not language.unsafe[query] & set(negatives)
            assert len(set(negatives)) == num_negatives
            free = [one for one in language.kept[query] if one not in unsafe]
            assert len(set(negatives) & set(free)) == min(num_negatives, len(free))
