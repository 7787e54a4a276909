"""Length buckets and padding."""

import random

import pytest
import torch

from tasks.models.batches import length_buckets, pad


def test_length_buckets_puts_long_texts_first_and_fills_up_to_the_bound():
    assert length_buckets([2, 5, 3, 1, 4], batch_tokens=10) == [[1, 4], [2, 0, 3]]


def test_length_buckets_gives_too_long_text_its_own_batch():
    assert length_buckets([3, 50, 3], batch_tokens=6) == [[1], [0, 2]]


def test_length_buckets_keeps_order_of_equal_lengths():
    assert length_buckets([4, 4, 4], batch_tokens=8) == [[0, 1], [2]]


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
    token_ids_BT, attention_BT = pad([[7, 8, 9], [5]], pad_id=1)
    assert token_ids_BT.tolist() == [[7, 8, 9], [5, 1, 1]]
    assert attention_BT.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert token_ids_BT.dtype == attention_BT.dtype == torch.int64


def test_pad_attends_to_a_pad_id_inside_the_text():
    _, attention_BT = pad([[1, 5], [5]], pad_id=1)
    assert attention_BT.tolist() == [[1, 1], [1, 0]]


def test_pad_of_nothing_is_empty():
    assert pad([], pad_id=1)[0].shape == (0, 0)
