"""Number ids by the million: hash tables that are plain arrays. An id's hash has 64 bits and stands for the id.

Two ids that share a hash would be taken for one; among 20 million that happens once in 90,000 plans, and `check.py`,
which hashes otherwise, would see a promise that it broke.
"""

import numpy as np
import polars as pl

FIRST_CAPACITY = 1 << 12


def hash_ids(ids: pl.Series, seed: int = 0) -> np.ndarray:
    """Hash ids to 64 bits, uint64; 0 stands for nothing and does not occur."""
    return np.asarray(np.maximum(ids.hash(seed).to_numpy(), np.uint64(1)))


class Finder:
    """Finds the places of ids in a list."""

    def __init__(self, ids: pl.Series) -> None:
        hashes = hash_ids(ids)
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]

    def find(self, ids: pl.Series) -> np.ndarray:
        """Return each id's place, or -1; quick where equal ids follow one another."""
        hashes = hash_ids(ids)
        if not hashes.size or not self._sorted.size:
            return np.full(hashes.size, -1)
        heads = np.concatenate([[0], np.flatnonzero(hashes[1:] != hashes[:-1]) + 1])
        found = np.minimum(np.searchsorted(self._sorted, hashes[heads]), self._sorted.size - 1)
        place = np.where(self._sorted[found] == hashes[heads], self._order[found], -1)
        return np.repeat(place, np.diff(np.concatenate([heads, [hashes.size]])))


class Numbering:
    """Numbers ids as they come, each once; a hash table with open addressing."""

    def __init__(self) -> None:
        self._hash = np.zeros(FIRST_CAPACITY, dtype=np.uint64)
        self._number = np.zeros(FIRST_CAPACITY, dtype=np.int32)
        self._ids: list[pl.Series] = []
        self.size = 0

    def number(self, ids: pl.Series) -> np.ndarray:
        """Return each id's number, int32; new ids get the next ones, in no particular order."""
        hashes = hash_ids(ids)
        numbers = self.find(hashes)
        missing = np.flatnonzero(numbers < 0)
        if missing.size:
            new, first, place = np.unique(hashes[missing], return_index=True, return_inverse=True)
            numbers[missing] = place + self.size
            self._insert(new)
            self._ids.append(ids.gather(missing[first]))
        return numbers

    def find(self, hashes: np.ndarray) -> np.ndarray:
        """Return the numbers of hashed ids that are there, int32, -1 for others."""
        numbers = np.full(hashes.size, -1, dtype=np.int32)
        mask = np.uint64(self._hash.size - 1)
        place = (hashes & mask).astype(np.int64)
        todo = np.arange(hashes.size)
        while todo.size:
            there = self._hash[place]
            hit = there == hashes[todo]
            numbers[todo[hit]] = self._number[place[hit]]
            further = ~hit & (there != 0)
            todo, place = todo[further], (place[further] + 1) & int(mask)
        return numbers

    def sorted_ids(self) -> tuple[pl.Series, np.ndarray]:
        """Sort the ids; returns them, and the place among them of each number."""
        ids = pl.concat(self._ids) if self._ids else pl.Series(dtype=pl.String)
        order = ids.arg_sort()
        place = np.empty(len(ids), dtype=np.int32)
        place[order.to_numpy()] = np.arange(len(ids), dtype=np.int32)
        return ids.gather(order), place

    def _insert(self, new: np.ndarray) -> None:
        """Give new hashes, each once, the next numbers."""
        if (self.size + new.size) * 2 > self._hash.size:
            self._grow(self.size + new.size)
        self._put(new, np.arange(self.size, self.size + new.size, dtype=np.int32))
        self.size += new.size

    def _grow(self, size: int) -> None:
        there = np.flatnonzero(self._hash)
        hashes, numbers = self._hash[there], self._number[there]
        capacity = self._hash.size
        while capacity < size * 2:
            capacity *= 2
        self._hash, self._number = np.zeros(capacity, dtype=np.uint64), np.zeros(capacity, dtype=np.int32)
        self._put(hashes, numbers)

    def _put(self, hashes: np.ndarray, numbers: np.ndarray) -> None:
        mask = self._hash.size - 1
        place = (hashes & np.uint64(mask)).astype(np.int64)
        while hashes.size:
            free = self._hash[place] == 0
            self._hash[place[free]] = hashes[free]  # of several for one place, one gets it
            got = self._hash[place] == hashes
            self._number[place[got]] = numbers[got]
            hashes, numbers, place = hashes[~got], numbers[~got], (place[~got] + 1) & mask
