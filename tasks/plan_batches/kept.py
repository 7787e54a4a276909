"""A language's kept hard negatives: gathered from the ledger row by row, then listed query by query."""

from collections.abc import Iterator

import numpy as np

from tasks.plan_batches.lists import Lists

ROWS = 1 << 22  # rows looked at together


class KeptPairs:
    """Pairs of query and kept document, added in the ledger's order."""

    def __init__(self) -> None:
        self._query: list[np.ndarray] = [np.empty(0, dtype=np.int32)]
        self._document: list[np.ndarray] = [np.empty(0, dtype=np.int32)]
        self._hardness: list[np.ndarray] = [np.empty(0, dtype=np.int32)]
        self._last = -1
        self._in_order = True

    def add(self, query: np.ndarray, document: np.ndarray, hardness: np.ndarray) -> None:
        """Add rows of the ledger: numbers, and hardness (1 = hardest)."""
        self._query.append(query.astype(np.int32))
        self._document.append(document)
        self._hardness.append(hardness.astype(np.int32))
        if query.size and self._in_order:
            key = query.astype(np.int64) << 32 | hardness
            self._in_order = bool(key[0] > self._last and (key[1:] > key[:-1]).all())
            self._last = int(key[-1])

    def lists(self, unsafe: Lists, order: np.ndarray, *, num_queries: int, num_documents: int) -> Lists:
        """List each query's documents, the hardest first; each once, none that is unsafe for the query.

        The ledger could not know of every unsafe document: a query with the same text may know more.

        Args:
            unsafe: documents that are no negatives.
            order: final number of each document.
            num_queries: queries.
            num_documents: documents.
        """
        query, document = np.concatenate(self._query), order[np.concatenate(self._document)]
        if not self._in_order:
            hardest_first = np.lexsort((document, np.concatenate(self._hardness), query))
            query, document = query[hardest_first], document[hardest_first]
        self._query, self._document, self._hardness = [], [], []
        start = np.searchsorted(query, np.arange(num_queries + 1))
        length = np.diff(start)
        documents = [np.empty(0, dtype=np.int32)]
        for first, last in _blocks(start):
            rows = slice(start[first], start[last])
            keep = _usable(query[rows], document[rows], unsafe, first, last, num_documents)
            documents.append(document[rows][keep])
            length[first:last] = np.bincount(query[rows][keep] - first, minlength=last - first)
        return Lists(np.concatenate([[0], np.cumsum(length)]), np.concatenate(documents))


def _blocks(start: np.ndarray) -> Iterator[tuple[int, int]]:
    """Cut the queries into blocks of about `ROWS` rows."""
    first = 0
    while first < start.size - 1:
        last = int(np.searchsorted(start, start[first] + ROWS, side="right")) - 1
        last = min(max(last, first + 1), start.size - 1)
        yield first, last
        first = last


def _usable(
    query: np.ndarray, document: np.ndarray, unsafe: Lists, first: int, last: int, num_documents: int
) -> np.ndarray:
    """Say which rows of some queries are neither unsafe nor there before."""
    keys = query.astype(np.int64) * num_documents + document
    owner = np.repeat(np.arange(first, last), unsafe.length[first:last])
    barred = owner * num_documents + unsafe.document[unsafe.start[first] : unsafe.start[last]]
    usable = np.ones(keys.size, dtype=bool)
    if barred.size:
        found = np.minimum(np.searchsorted(barred, keys), barred.size - 1)
        usable = barred[found] != keys
    in_order = np.sort(keys)
    if (in_order[1:] == in_order[:-1]).any():  # a pair twice: the harder one counts
        once = np.zeros(keys.size, dtype=bool)
        once[np.unique(keys, return_index=True)[1]] = True
        usable &= once
    return usable
