"""Length buckets and padding."""

import random

import pytest
import torch

from tasks.models.batches import join_tokens, length_buckets, pack_tokens, pad


def test_length_buckets_puts_long_texts_first_and_fills_up_to_the_bound():
    assert length_buckets([2, 5, 3, 1, 4], batch_tokens=10) == [[1, 4], [2, 0, 3]]


def test_length_buckets_gives_too_long_text_its_own_batch():
    assert length_buckets([3, 50, 3], batch_tokens=6) == [[1], [0, 2]]


def test_length_buckets_keeps_order_of_equal_lengths():
    assert length_buckets([4, 4, 4], batch_tokens=8) == [[0, 1], [2]]


def test_length_buckets_are_of_one_length_where_they_are_not_to_be_mixed():
    assert length_buckets([2, 5, 3, 5, 2], batch_tokens=10, mixed=False) == [[1, 3], [2], [0, 4]]
    assert length_buckets([4, 2, 4, 4], batch_tokens=8, mixed=False) == [[0, 2], [3], [1]]


def test_length_buckets_of_nothing_is_nothing():
    assert length_buckets([], batch_tokens=8) == []


def test_length_buckets_holds_each_text_once_within_the_bound():
    random_numbers = random.Random(3)
    lengths = [random_numbers.randint(1, 200) for _ in range(500)]
    buckets = length_buckets(lengths, batch_tokens=512)
    assert sorted(position for bucket in buckets for position in bucket) == list(range(500))
    assert all(len(bucket) * max(lengths[position] for position in bucket) <= 512 for bucket in buckets)


def test_length_buckets_rejects_no_tokens():
    with pytest.raises(ValueError, match="batch_tokens: expected 1 or more, got 0"):
        length_buckets([1], batch_tokens=0)


def test_pad_fills_on_the_right():
    batch = pad(pack_tokens([[7, 8, 9], [], [5]]), [0, 2], pad_id=1)
    assert batch.token_ids_BT.tolist() == [[7, 8, 9], [5, 1, 1]]
    assert batch.attention_BT.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.token_ids_BT.dtype == batch.attention_BT.dtype == torch.int64
    assert batch.mask is batch.attention_BT
    assert batch.types_BT is None


def test_pad_fills_on_the_left_where_a_network_wants_that():
    batch = pad(pack_tokens([[7, 8, 9], [5]], [[0, 0, 1], [1]]), [1, 0], pad_id=3, left=True)
    assert batch.token_ids_BT.tolist() == [[3, 3, 5], [7, 8, 9]]
    assert batch.attention_BT.tolist() == [[0, 0, 1], [1, 1, 1]]
    assert batch.types_BT.tolist() == [[0, 0, 1], [0, 0, 1]]


def test_pad_rounds_up_and_says_whether_there_is_padding():
    tokens = pack_tokens([[7, 8, 9], [5], [6, 6, 6]])
    assert pad(tokens, [0, 1], pad_id=1, width=8).attention_BT.tolist() == [[1] * 3 + [0] * 5, [1] + [0] * 7]
    assert pad(tokens, [2, 0], pad_id=1, width=4).token_ids_BT.tolist() == [[6, 6, 6, 1], [7, 8, 9, 1]]
    equal = pad(tokens, [2, 0], pad_id=1)
    assert equal.is_full
    assert equal.mask is None


def test_pad_attends_to_a_pad_id_inside_the_text():
    assert pad(pack_tokens([[1, 5], [5]]), [0, 1], pad_id=1).attention_BT.tolist() == [[1, 1], [1, 0]]


def test_pad_of_nothing_is_empty():
    assert pad(pack_tokens([]), [], pad_id=1).token_ids_BT.shape == (0, 0)


def test_tokens_come_out_as_they_went_in():
    lists = [[4, 5], [], [6], []]
    assert list(pack_tokens(lists)) == lists
    assert list(pack_tokens(lists).filled(9)) == [[4, 5], [9], [6], [9]]
    joined = join_tokens([pack_tokens(lists[:1], [[0, 1]]), pack_tokens([[7]], [[1]])])
    assert list(joined) == [[4, 5], [7]]
    assert joined.types.tolist() == [0, 1, 1]
    assert list(join_tokens([])) == []
