"""Rows that need not be computed again: an earlier dataset's, where the texts that they were made of are the same.

What a row holds must follow from its texts and the step's settings alone. Shapes: N rows; P parts and one; K known.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from storage import DamagedDataset, DatasetRef, Manifest, MissingDataset
from storage.reader import sound_path

Positions = NDArray[np.int64]
_GONE = (DamagedDataset, MissingDataset, OSError)  # `gc` in another process, a broken disk: then all is computed


@dataclass(frozen=True)
class Earlier:
    """The last dataset of the same step and settings, and what it was made from. A body reads it by `Known` alone."""

    ref: DatasetRef
    manifest: Manifest
    inputs: Mapping[str, DatasetRef]
    """Those with the texts, by the names in the manifest such as `corpus` and `named.0`; they hold what they held."""

    def part(self, number: int, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Read a part; it is compared with its checksum."""
        path = sound_path(self.ref, self.manifest.parts[number])
        return pl.read_parquet(path, columns=None if columns is None else list(columns), glob=False)

    def file(self, name: str) -> Path:
        """Name a local path of a file beside the parts; it is compared with its checksum."""
        return sound_path(self.ref, next(file for file in self.manifest.files if file.name == name))


class Known:
    """The rows of an earlier dataset by their texts: 24 bytes a row in memory (50 at first), and one part at a time."""

    def __init__(
        self,
        earlier: Earlier | None,
        shards_of: Callable[[Mapping[str, DatasetRef]], Iterable[pl.DataFrame]],
        *,
        log: logging.Logger,
        ids: Sequence[str] = ("id",),
        texts: Sequence[str] = ("text",),
        read: Callable[[Earlier, int], pl.DataFrame] = Earlier.part,
    ) -> None:
        """Hash the texts of the earlier dataset.

        Args:
            earlier: where there is none, no row is known.
            shards_of: makes a frame of `ids` and `texts` for each part; called with the earlier inputs, by name.
            log: is told what is gone or damaged, and so computed again.
            ids: columns that name a row, in the shards and in the dataset.
            texts: columns of the shards that a row follows from.
            read: returns a part's rows.
        """
        self._ids, self._texts, self._log = list(ids), list(texts), log
        self._earlier, self._read = earlier, read
        self._end_P = np.cumsum([0, *(part.rows for part in earlier.manifest.parts)] if earlier else [0])
        digest_N2 = np.zeros((int(self._end_P[-1]), 2), dtype=np.uint64)
        sound_N = np.zeros(len(digest_N2), dtype=np.bool_)
        if earlier:
            shards = iter(shards_of(earlier.inputs))
            for number, mine in enumerate(map(slice, self._end_P, self._end_P[1:])):
                shard = self._tried(next, shards, None)
                part = self._tried(earlier.part, number, self._ids)
                if shard is not None and part is not None and part.equals(shard.select(self._ids)):
                    digest_N2[mine], sound_N[mine] = text_digests(shard, self._texts), True
        self._row_N = np.flatnonzero(sound_N)[np.argsort(digest_N2[sound_N, 0], kind="stable")]
        self._start_N, self._rest_N = (digest_N2[self._row_N, half] for half in (0, 1))

    def split(self, shard: pl.DataFrame) -> "Split":
        """Tell the rows of a shard that are known from those that are to be computed."""
        row_N = self._find(text_digests(shard, self._texts)) if len(self._row_N) else np.full(len(shard), -1)
        part_N = np.searchsorted(self._end_P, row_N, side="right") - 1  # -1 where a row is not known
        taken: list[pl.DataFrame] = []
        places: list[Positions] = []
        for number in np.unique(part_N[part_N >= 0]).tolist():
            part = self._tried(self._read, self._earlier, number)
            if part is not None:
                places.append(np.flatnonzero(part_N == number))
                taken.append(part[row_N[places[-1]] - self._end_P[number]])
        place_N = np.concatenate([np.empty(0, dtype=np.int64), *places])
        new_N = np.setdiff1d(np.arange(len(shard)), place_N)
        order_N = np.argsort(np.concatenate([place_N, new_N]))
        return Split(shard[new_N], shard.select(self._ids), pl.concat(taken) if taken else None, order_N)

    def _find(self, digest_N2: NDArray[np.uint64]) -> Positions:
        """Return the row of each text, -1 where there is none."""
        at_N = np.minimum(np.searchsorted(self._start_N, digest_N2[:, 0]), len(self._row_N) - 1)
        same_N = (self._start_N[at_N] == digest_N2[:, 0]) & (self._rest_N[at_N] == digest_N2[:, 1])
        return np.where(same_N, self._row_N[at_N], -1)

    def _tried(self, read: Callable[..., Any], *given: Any) -> Any:
        try:
            return read(*given)
        except _GONE as error:
            self._log.warning("not taken over but computed again: %s", error)
            return None


@dataclass(frozen=True)
class Split:
    """A shard's rows: those that were known, and those that are to be computed."""

    new: pl.DataFrame
    """The rows of the shard that are to be computed, in its order."""
    names: pl.DataFrame
    """The ids of all of its rows."""
    known: pl.DataFrame | None
    """The others as they were, under their earlier ids."""
    order: Positions
    """Where the shard's rows stand among the known and then the new ones."""

    @property
    def taken(self) -> int:
        """How many rows are taken over."""
        return len(self.order) - len(self.new)

    def joined(self, computed: pl.DataFrame) -> pl.DataFrame:
        """Put what was computed of `new`, in its order, and what was known into the shard's order, under its ids."""
        if self.known is None:
            return computed
        rows = pl.concat([self.known.select(computed.columns), computed])
        return rows[self.order].with_columns(self.names)


def text_digests(rows: pl.DataFrame, texts: Sequence[str]) -> NDArray[np.uint64]:
    """Hash what some columns say, row by row.

    Args:
        rows: any.
        texts: columns of strings, or of lists of strings.

    Returns:
        [N, 2]: BLAKE2b of 16 bytes: other texts, other numbers.
    """
    told = (
        "".join(f"{len(text)} {text}" for text in (one if isinstance(one, str) else repr(one) for one in row))
        for row in rows.select(texts).iter_rows()
    )
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in told)
    return np.frombuffer(digests, dtype=np.uint64).reshape(-1, 2)
