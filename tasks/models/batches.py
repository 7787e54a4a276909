"""Batches for inference: texts of like length together, so that little padding is computed, and memory between them.

Shapes: N texts, B texts of a batch, T tokens.
"""

import ctypes
import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.models.upload import upload

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; other libraries have none, and need none


@dataclass(frozen=True)
class Tokens:
    """Token ids of some texts, one text's after another's; iterating gives them as lists."""

    ids: NDArray[np.int32]
    length_N: NDArray[np.int64]
    types: NDArray[np.int32] | None = None
    """Of each token, where the network tells a pair's texts apart by them."""

    def __iter__(self) -> Iterator[list[int]]:
        """Yield each text's ids."""
        ids, start = self.ids.tolist(), 0
        for length in self.length_N.tolist():
            yield ids[start : start + length]
            start += length

    @functools.cached_property
    def start_N(self) -> NDArray[np.int64]:
        """Where each text's ids start."""
        return np.cumsum(self.length_N) - self.length_N

    def filled(self, filler: int) -> "Tokens":
        """Give texts that have no token this one."""
        if self.length_N.all():
            return self
        ids = np.insert(self.ids, self.start_N[self.length_N == 0], filler)
        return Tokens(ids, np.maximum(self.length_N, 1))


def pack_tokens(ids: Iterable[Sequence[int]], types: Iterable[Sequence[int]] | None = None) -> Tokens:
    """Put lists of ids into one array."""
    lists = list(ids)
    length_N = np.fromiter(map(len, lists), dtype=np.int64, count=len(lists))
    num_tokens = int(length_N.sum())
    packed = np.fromiter(chain.from_iterable(lists), np.int32, num_tokens)
    return Tokens(
        packed, length_N, None if types is None else np.fromiter(chain.from_iterable(types), np.int32, num_tokens)
    )


def join_tokens(parts: Sequence[Tokens]) -> Tokens:
    """Put the texts of some parts one after another."""
    types = [part.types for part in parts if part.types is not None]
    return Tokens(
        np.concatenate([np.empty(0, np.int32), *(part.ids for part in parts)]),
        np.concatenate([np.empty(0, np.int64), *(part.length_N for part in parts)]),
        np.concatenate(types) if types else None,
    )


@dataclass(frozen=True)
class Batch:
    """Some texts, padded to one length."""

    token_ids_BT: Tensor
    attention_BT: Tensor
    """1 for a token, 0 for padding."""
    types_BT: Tensor | None
    is_full: bool
    """There is no padding."""

    @property
    def mask(self) -> Tensor | None:
        """What a network takes for the attention; nothing where it would only look for padding, and wait for it."""
        return None if self.is_full else self.attention_BT

    def on(self, device: torch.device) -> "Batch":
        """Copy to a device; a GPU's copies run beside what it computes."""
        types_BT = None if self.types_BT is None else upload(self.types_BT, device)
        return Batch(upload(self.token_ids_BT, device), upload(self.attention_BT, device), types_BT, self.is_full)


def length_buckets(lengths: Sequence[int], *, batch_tokens: int, mixed: bool = True) -> list[list[int]]:
    """Group positions into batches of at most `batch_tokens` tokens, padding included.

    The longest come first: if memory does not suffice, it shows at the start. A text longer than
    `batch_tokens` is a batch of its own.

    Args:
        lengths: tokens per text.
        batch_tokens: bound on texts * longest text of a batch.
        mixed: a batch may hold texts of several lengths.

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
        batch = by_length[start : start + max(batch_tokens // longest, 1)]
        if not mixed:
            batch = [position for position in batch if lengths[position] == lengths[batch[0]]]
        batches.append(batch)
        start += len(batch)
    return batches


def pad(tokens: Tokens, positions: Sequence[int], *, pad_id: int, width: int = 0, left: bool = False) -> Batch:
    """Put texts of different lengths into one tensor.

    Args:
        tokens: the texts.
        positions: those of the batch.
        pad_id: fills up.
        width: pad to this, where all texts are shorter.
        left: the padding stands on the left, as some networks want it.

    Returns:
        int64 tensors, T the longest text's length or `width`.
    """
    length_B = tokens.length_N[positions]
    length_B1 = length_B[:, None]
    column_T = np.arange(max(int(length_B.max(initial=0)), width))
    is_full = bool((length_B == len(column_T)).all())
    place_BT = column_T - (len(column_T) - length_B1) if left else column_T + 0 * length_B1
    attention_BT = (place_BT >= 0) & (place_BT < length_B1)
    source = (tokens.start_N[positions, None] + place_BT)[attention_BT]

    def filled(values: NDArray[np.int32], filler: int) -> Tensor:
        value_BT = np.full(attention_BT.shape, filler, dtype=np.int64)
        value_BT[attention_BT] = values[source]
        return torch.from_numpy(value_BT)

    types_BT = None if tokens.types is None else filled(tokens.types, 0)
    attention = torch.from_numpy(attention_BT.astype(np.int64))
    return Batch(filled(tokens.ids, pad_id), attention, types_BT, is_full)


def return_freed_memory() -> None:
    """Return what was freed to the system: between batches of changing shapes the C library keeps more than one needs.

    It costs the next batch some page faults, so it is for a CPU's batches.
    """
    if _trim is not None:
        _trim(0)
