import math
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.train.batch import compose_batch, compose_chunks
from tasks.train.plan import PlanStep, Sample
from tasks.train.tokens import TokenTable


def chunked(lengths, *, chunk_tokens, overhead_tokens):
    return compose_chunks(lengths, range(len(lengths)), chunk_tokens=chunk_tokens, overhead_tokens=overhead_tokens)


def least_cost(lengths, chunk_tokens, overhead_tokens):
    """Every way to cut the sorted texts."""
    ordered = sorted(lengths, reverse=True)
    costs = []
    for number in range(len(ordered)):
        for cuts in combinations(range(1, len(ordered)), number):
            edges = [0, *cuts, len(ordered)]
            parts = [ordered[a:b] for a, b in zip(edges, edges[1:], strict=False)]
            if all(len(part) * part[0] <= chunk_tokens or len(part) == 1 for part in parts):
                costs.append(sum(len(part) * part[0] + overhead_tokens for part in parts))
    return min(costs)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    chunk_tokens=st.integers(1, 90),
    overhead_tokens=st.integers(0, 40),
)
def test_compose_chunks_finds_the_cheapest_cuts(lengths, chunk_tokens, overhead_tokens):
    chunks = chunked(lengths, chunk_tokens=chunk_tokens, overhead_tokens=overhead_tokens)
    assert sorted(sum(chunks.texts, [])) == list(range(len(lengths)))
    assert chunks.sizes == [len(texts) * max(lengths[text] for text in texts) for texts in chunks.texts]
    assert sum(chunks.sizes) + overhead_tokens * len(chunks.sizes) == least_cost(lengths, chunk_tokens, overhead_tokens)
    assert all(size <= chunk_tokens or len(texts) == 1 for texts, size in zip(chunks.texts, chunks.sizes, strict=True))


def test_compose_chunks_cuts_where_lengths_jump():
    chunks = chunked([10, 200, 12, 190, 11], chunk_tokens=1000, overhead_tokens=32)
    assert chunks.texts == [[1, 3], [2, 4, 0]]
    assert chunks.sizes == [400, 36]


def test_compose_chunks_keeps_the_order_of_equal_lengths():
    assert chunked([5, 5, 5], chunk_tokens=10, overhead_tokens=1).texts in ([[0, 1], [2]], [[0], [1, 2]])


def test_compose_chunks_takes_only_the_texts_that_are_named():
    chunks = compose_chunks([9, 7, 5, 3], [3, 1], chunk_tokens=100, overhead_tokens=100)
    assert chunks.texts == [[1, 3]]


def test_compose_chunks_of_nothing_is_nothing():
    assert compose_chunks([4], [], chunk_tokens=8, overhead_tokens=1).texts == []


@pytest.mark.parametrize("length", [9, 1000])
def test_compose_chunks_gives_a_text_beyond_the_bound_a_chunk_of_its_own(length):
    assert chunked([length, 1], chunk_tokens=8, overhead_tokens=0).texts == [[0], [1]]


def test_compose_batch_gives_nan_where_the_teacher_has_no_score():
    names = [(language, name) for language in ("en", "fi") for name in ("q0", "d0", "d1", "d2")]
    table = TokenTable.of({name: [1] for name in names})
    samples = (Sample("en", "q0", "d0", ("d1", "d2"), 1.0), Sample("fi", "q0", "d0", (), 1.0))
    batch = compose_batch(PlanStep(0, 0, samples), table, table, {("en", "q0"): {"d0": 2.0, "d2": -1.0}})
    assert batch.teacher_N is not None
    first, second, third, other_language = batch.teacher_N.tolist()
    assert (first, third) == (2.0, -1.0)
    assert math.isnan(second)
    assert math.isnan(other_language)
