"""Lists: a list of documents per query, end to end in one array."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lists:
    """A list of documents per query, end to end."""

    start: np.ndarray
    """Where a query's list begins, int64, one more than there are queries."""
    document: np.ndarray
    """Document numbers, int32."""

    @classmethod
    def of_keys(cls, keys: np.ndarray, *, num_queries: int, num_documents: int) -> "Lists":
        """Make lists of pairs given as query * num_documents + document, ascending."""
        start = np.searchsorted(keys, np.arange(num_queries + 1) * num_documents)
        return cls(start, (keys % max(num_documents, 1)).astype(np.int32))

    @property
    def length(self) -> np.ndarray:
        """Documents per query."""
        return np.diff(self.start)

    def of(self, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Join the lists of some queries: (position in `query`, document), in order."""
        first = self.start[query]
        length = self.start[query + 1] - first
        owner = np.repeat(np.arange(query.size), length)
        before = np.cumsum(length) - length
        return owner, self.document[np.arange(owner.size) + np.repeat(first - before, length)]

    def only(self, wanted: np.ndarray) -> "Lists":
        """Keep the documents that a boolean mask over document numbers wants."""
        keep = wanted[self.document]
        passed = np.concatenate([[0], np.cumsum(keep)])
        return Lists(passed[self.start], self.document[keep])
