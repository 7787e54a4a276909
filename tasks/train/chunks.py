"""Which texts go through the network together: chunks of like length, with the least padding that pays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Chunks:
    """Texts of like length together, as they go through the network. Positions in a list of texts."""

    texts: list[list[int]]
    """The texts of each chunk."""
    sizes: list[int]
    """The tokens of each chunk, padding included."""


def compose_chunks(lengths: Sequence[int], texts: Sequence[int], *, chunk_tokens: int, overhead_tokens: int) -> Chunks:
    """Cut the texts, longest first, into the chunks that take the least time together.

    A chunk's time is its tokens, padding included, and a constant for the calls that it takes. The best cuts are found
    exactly: from the shortest text on, each one's best chunk is known once those after it are.

    Args:
        lengths: tokens of every text.
        texts: positions of those to put into chunks.
        chunk_tokens: size of a chunk at most, padding included; a longer text is a chunk of its own.
        overhead_tokens: a chunk's calls take as long as so many tokens.

    Returns:
        The chunks; equal lengths in their given order. The longest come first: where memory does not suffice, it
        shows at once.
    """
    by_length = sorted(texts, key=lambda text: -lengths[text])
    sorted_lengths = [max(lengths[text], 1) for text in by_length]
    num_texts = len(by_length)
    cost = np.zeros(num_texts + 1)  # of the texts from here on
    end = np.zeros(num_texts, dtype=np.int64)  # of the chunk that begins here
    for start in range(num_texts - 1, -1, -1):
        longest = sorted_lengths[start]
        most = min(max(chunk_tokens // longest, 1), num_texts - start)
        costs = np.arange(1, most + 1) * longest + overhead_tokens + cost[start + 1 : start + most + 1]
        end[start] = start + 1 + int(costs.argmin())
        cost[start] = costs.min()
    chunks, sizes, start = [], [], 0
    while start < num_texts:
        stop = int(end[start])
        chunks.append(by_length[start:stop])
        sizes.append((stop - start) * sorted_lengths[start])
        start = stop
    return Chunks(chunks, sizes)
