"""Vectors of several encoders side by side, and shards of them. Shapes: N rows, P pairs, E encoders, D numbers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

_NUMBERS = 2**16  # float64 numbers that are gathered at once for scoring: they fit into the cache of a core

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Vectors:
    """The same rows as several encoders see them: one block of vectors per encoder."""

    ids: pl.Series
    blocks: tuple[Floats, ...]

    @classmethod
    def of(cls, embeddings: Mapping[str, pl.DataFrame], *, dtype: Any = np.float32) -> "Vectors":
        """Read embeddings, the encoders by name.

        Args:
            embeddings: by system: id, vector; the same ids in the same order for every system.
            dtype: of the numbers, which are stored in float16.

        Raises:
            ValueError: the ids differ.
        """
        (first, reference), *others = sorted(embeddings.items())
        for system, frame in others:
            if not frame["id"].equals(reference["id"]):
                raise ValueError(
                    f"search: expected the same rows for every encoder, got others for '{system}' than for '{first}'. "
                    "Embed the same texts with each."
                )
        return cls(reference["id"], tuple(_matrix(frame, dtype) for _, frame in sorted(embeddings.items())))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of a vector, by encoder."""
        return tuple(block.shape[1] for block in self.blocks)

    def concatenated(self, scale_NE: Doubles | None = None) -> Floats:
        """Put the blocks side by side, each multiplied by its column of `scale_NE`."""
        if scale_NE is None:
            return self.blocks[0] if len(self.blocks) == 1 else np.concatenate(self.blocks, axis=1)
        scaled = [block * scale_NE[:, [number]] for number, block in enumerate(self.blocks)]
        return np.ascontiguousarray(np.concatenate(scaled, axis=1), dtype=np.float32)


def _matrix(embeddings: pl.DataFrame, dtype: Any) -> Floats:
    return np.require(embeddings["vector"].to_numpy(), dtype, ["C", "W"])  # torch wants to be able to write


def exact_products(queries: Vectors, documents: Vectors, query_P: Positions, document_P: Positions) -> Doubles:
    """Return each encoder's inner product of some pairs, shape [P, E], exactly.

    A product of two float16 numbers is a multiple of 2^-48, and sums below 32 of such fit into float64's 53 bits,
    in any order: the same number for any batch, thread count and machine.
    """
    product_PE = np.empty((len(query_P), len(queries.blocks)))
    rows = max(1, _NUMBERS // max(queries.sizes))
    for start in range(0, len(query_P), rows):
        chosen = slice(start, start + rows)
        for number, (query_ND, document_ND) in enumerate(zip(queries.blocks, documents.blocks, strict=True)):
            product_PE[chosen, number] = np.einsum(
                "pd,pd->p",
                _doubles(query_ND[query_P[chosen]]),
                _doubles(document_ND[document_P[chosen]]),
            )
    return product_PE


def _doubles(vector_PD: NDArray[Any]) -> Doubles:
    return vector_PD.astype(np.float32, copy=False).astype(np.float64)  # numpy takes five times as long in one step


def weighted_sum(product_PE: Doubles, scale_PE: Doubles) -> Doubles:
    """Add the encoders' scaled products up, encoder by encoder: the same rounding wherever a pair stands."""
    total_P = np.zeros(len(product_PE))
    for number in range(product_PE.shape[1]):
        total_P += scale_PE[:, number] * product_PE[:, number]
    return total_P


def check_sizes(queries: Vectors, documents: Vectors) -> None:
    """See that queries and documents come from the same encoders.

    Raises:
        ValueError: their vectors differ in size.
    """
    if queries.sizes != documents.sizes:
        expected, got = (" + ".join(map(str, sizes)) for sizes in (documents.sizes, queries.sizes))
        raise ValueError(
            f"search: expected documents and queries of one encoder, got vectors of {expected} and {got} numbers. "
            "Embed both with the same encoder."
        )


def split_shards(parts: Iterable[pl.DataFrame], shard_size: int) -> Iterator[pl.DataFrame]:
    """Cut a dataset's parts anew, into shards of `shard_size` rows; the last may be shorter.

    At most one shard and one part are in memory.
    """
    waiting: list[pl.DataFrame] = []
    room = shard_size
    for part in parts:
        start = 0
        while start < part.height:
            taken = part.slice(start, room)
            waiting.append(taken)
            start, room = start + taken.height, room - taken.height
            if not room:
                yield pl.concat(waiting)
                waiting, room = [], shard_size
    if waiting:
        yield pl.concat(waiting)
