"""Pooling by hand: padding never counts."""

import pytest
import torch

from tasks.models.encoder import pool

HIDDEN_BTD = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [100.0, 100.0]], [[1.0, 0.0], [2.0, 0.0], [6.0, 3.0]]])
ATTENTION_BT = torch.tensor([[1, 1, 0], [1, 1, 1]])


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("mean", [[2.0, 3.0], [3.0, 1.0]]),
        ("cls", [[1.0, 2.0], [1.0, 0.0]]),
        ("last", [[3.0, 4.0], [6.0, 3.0]]),
    ],
)
def test_pool_ignores_padding(pooling, expected):
    torch.testing.assert_close(pool(HIDDEN_BTD, ATTENTION_BT, pooling=pooling), torch.tensor(expected))


def test_pool_of_one_token_is_that_token():
    for pooling in ("mean", "cls", "last"):
        vector_BD = pool(HIDDEN_BTD, torch.tensor([[1, 0, 0], [1, 0, 0]]), pooling=pooling)
        torch.testing.assert_close(vector_BD, HIDDEN_BTD[:, 0])


def test_pool_computes_means_in_float32():
    hidden_BTD = torch.ones(1, 1000, 1, dtype=torch.bfloat16)  # in bfloat16 the sum would stop at 256
    vector_BD = pool(hidden_BTD, torch.ones(1, 1000, dtype=torch.int64), pooling="mean")
    assert vector_BD.dtype == torch.float32
    assert vector_BD.item() == 1.0
