"""Batches for inference: texts of like length together, so that little padding is computed, and memory between them."""

import ctypes
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; other libraries have none, and need none


def length_buckets(lengths: Sequence[int], *, batch_tokens: int) -> list[list[int]]:
    """Group positions into batches of at most `batch_tokens` tokens, padding included.

    The longest come first: if memory does not suffice, it shows at the start. A text longer than
    `batch_tokens` is a batch of its own.

    Args:
        lengths: tokens per text.
        batch_tokens: bound on texts * longest text of a batch.

    Returns:
        Positions in `lengths`, each once; equal lengths in their given order.

    Raises:
        ValueError: `batch_tokens` is less than 1.
    """
    if batch_tokens < 1:
        raise ValueError(f"batch_tokens: expected 1 or more, got {batch_tokens}. Correct the setting.")
    by_length = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    batches = []
    start = 0
    while start < len(by_length):
        longest = max(lengths[by_length[start]], 1)
        size = max(batch_tokens // longest, 1)
        batches.append(by_length[start : start + size])
        start += size
    return batches


def pad(token_ids: Sequence[Sequence[int] | NDArray[np.int32]], *, pad_id: int) -> tuple[Tensor, Tensor]:
    """Put texts of different lengths into one tensor, padding on the right.

    Returns:
        token_ids_BT and attention_BT (1 for a token, 0 for padding), int64, T the longest text's length.
    """
    longest = max(map(len, token_ids), default=0)
    token_ids_BT = torch.full((len(token_ids), longest), pad_id, dtype=torch.int64)
    attention_BT = torch.zeros((len(token_ids), longest), dtype=torch.int64)
    for row, ids in enumerate(token_ids):
        token_ids_BT[row, : len(ids)] = torch.tensor(ids, dtype=torch.int64)
        attention_BT[row, : len(ids)] = 1
    return token_ids_BT, attention_BT


def return_freed_memory() -> None:
    """Return what was freed to the system: between batches of changing shapes the C library keeps more than one needs.

    It costs the next batch some page faults, so it is for a CPU's batches.
    """
    if _trim is not None:
        _trim(0)
