import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plan_data import plain_language

from tasks.plan_batches.plan import plan_parts
from tasks.plan_batches.tables import count_queries
from tasks.plan_batches.weights import sample_weights
from tasks.ranks import chunk_slots, rank_slots


@given(st.integers(1, 40), st.data())
def test_ranks_take_every_slot_once_in_order_and_alike_many(batch_size, data):
    num_ranks = data.draw(st.integers(1, batch_size))
    slots = [rank_slots(batch_size, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]
    assert [slot for part in slots for slot in part] == list(range(batch_size))
    assert max(map(len, slots)) - min(map(len, slots)) <= 1


def test_rank_takes_consecutive_slots():
    assert [list(rank_slots(7, rank=rank, num_ranks=3)) for rank in range(3)] == [[0, 1], [2, 3], [4, 5, 6]]
    assert rank_slots(24, rank=0, num_ranks=1) == range(24)


def test_chunks_cut_a_ranks_slots():
    assert chunk_slots(rank_slots(24, rank=1, num_ranks=2), num_chunks=3) == [
        range(12, 16),
        range(16, 20),
        range(20, 24),
    ]
    assert chunk_slots(range(3, 8), num_chunks=2) == [range(3, 5), range(5, 8)]


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 8])
def test_one_plan_serves_any_number_of_ranks(num_ranks):
    table = plain_language("en", 50).table
    weights = sample_weights(count_queries([table]), alpha=1, beta=1, language_temperature=0)
    settings = {"batch_size": 8, "num_negatives": 2, "num_epochs": 1, "num_steps": 6, "seed": 0}
    (plan,) = plan_parts([table], weights, language_temperature=0, **settings)
    for _, step in plan.group_by("step"):
        parts = [step["query_id"][[*rank_slots(8, rank=rank, num_ranks=num_ranks)]] for rank in range(num_ranks)]
        assert [query for part in parts for query in part] == step["query_id"].to_list()


def test_rejects_more_ranks_than_slots_and_unknown_ranks():
    with pytest.raises(ValueError, match="a slot for each of 8 ranks, got 4"):
        rank_slots(4, rank=0, num_ranks=8)
    with pytest.raises(ValueError, match=r"a rank of 0\.\.1, got 2"):
        rank_slots(4, rank=2, num_ranks=2)
