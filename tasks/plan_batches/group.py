"""Deal one language's queries into batches: every query once per pass, topics spread evenly, no clash.

A clash is a positive that is unsafe for another query of its batch. Shapes: N batches, B slots of a batch, Q queries.
"""

import numpy as np

from tasks.plan_batches.settle import find_clashes, settle
from tasks.plan_batches.tables import LanguageTable

NUM_DEALS = 5


class Dealer:
    """An endless deal of one language's batches.

    A pass shows every query once; a batch may take the last queries of one pass and the first of the next. So at any
    step no query has been seen twice more often than another.
    """

    def __init__(self, table: LanguageTable, *, batch_size: int, rng: np.random.Generator) -> None:
        """Check that the language can fill batches at all.

        Raises:
            ValueError: fewer queries than slots, or a document that is the only positive of too many queries.
        """
        _check_room(table, batch_size)
        self._table, self._batch_size = table, batch_size
        self._rng, self._slot_rng = rng.spawn(2)  # apart, so that it doesn't matter how many are dealt at once
        self._group = np.unique(table.positives.document[table.positives.start[:-1]], return_inverse=True)[1]
        # Batches dealt and not yet handed out, then the start of an unfinished batch; one slot after the other.
        self._query = np.empty(0, dtype=np.int64)
        self._positive = np.empty(0, dtype=np.int64)

    def deal(self, num_batches: int) -> tuple[np.ndarray, np.ndarray]:
        """Hand out the next batches.

        Returns:
            Query numbers and the document numbers of their positives, both [N, B].

        Raises:
            ValueError: the queries cannot be arranged without a clash.
        """
        wanted = num_batches * self._batch_size
        while self._query.size < wanted:
            self._deal_pass(self._query.size % self._batch_size)
        query, positive = self._query[:wanted], self._positive[:wanted]
        self._query, self._positive = self._query[wanted:], self._positive[wanted:]
        shape = (num_batches, self._batch_size)
        order = self._slot_rng.permuted(np.tile(np.arange(self._batch_size), (num_batches, 1)), axis=1)
        return (
            np.take_along_axis(query.reshape(shape), order, axis=1),
            np.take_along_axis(positive.reshape(shape), order, axis=1),
        )

    def _deal_pass(self, unfinished: int) -> None:
        """Deal every query once; the first of them fill up the unfinished batch."""
        done = self._query.size - unfinished
        for _ in range(NUM_DEALS):
            query = np.concatenate([self._query[done:], self._spread(unfinished)])
            positive = self._draw_positives(query)
            positive[:unfinished] = self._positive[done:]
            if settle(self._table, query, positive, batch_size=self._batch_size, num_fixed=unfinished, rng=self._rng):
                self._query = np.concatenate([self._query[:done], query])
                self._positive = np.concatenate([self._positive[:done], positive])
                return
        stuck = query[find_clashes(self._table, query, positive, np.arange(query.size) // self._batch_size)]
        raise ValueError(
            f"plan_batches: expected batches of {self._batch_size} without a known positive among the negatives, got "
            f"{stuck.size} of {self._table.num_queries} queries of '{self._table.language}' that fit nowhere, the "
            f"first '{self._table.query_ids[int(stuck[0])]}'. Lower plan_batches.batch_size: too many queries of this "
            "language share their relevant documents."
        )

    def _spread(self, unfinished: int) -> np.ndarray:
        """Order the queries so that each topic, and within it each first positive, goes to as many batches as can be.

        The queries, sorted by topic, go to the batches in turn. A batch that has fewer free slots (the unfinished
        one, the last one) gets its turn less often.
        """
        num_queries = self._table.num_queries
        batch = np.arange(unfinished, unfinished + num_queries) // self._batch_size
        free = np.bincount(batch)
        first = np.cumsum(free) - free
        turn = (np.arange(num_queries) - first[batch] + self._rng.random(free.size)[batch]) / free[batch]
        spread = np.empty(num_queries, dtype=np.int64)
        spread[np.argsort(turn, kind="stable")] = self._by_topic()
        return spread

    def _by_topic(self) -> np.ndarray:
        """Sort the queries by topic and first positive; topics, positives and queries in random order."""
        topic, group = self._table.topic, self._group
        lots = (
            self._rng.random(topic.size),
            self._rng.permutation(int(group.max()) + 1)[group],
            self._rng.permutation(int(topic.max()) + 1)[topic],
        )
        return np.asarray(np.lexsort(lots))

    def _draw_positives(self, query: np.ndarray) -> np.ndarray:
        positives = self._table.positives
        choice = (self._rng.random(query.size) * positives.length[query]).astype(np.int64)
        return np.asarray(positives.document[positives.start[query] + choice])


def _check_room(table: LanguageTable, batch_size: int) -> None:
    if table.num_queries < batch_size:
        raise ValueError(
            f"plan_batches: expected at least batch_size = {batch_size} train queries with a positive in "
            f"'{table.language}', got {table.num_queries}. Lower plan_batches.batch_size to {table.num_queries} or "
            "leave the language out."
        )
    # A batch takes one query whose only positive is d, and then no other query that d is unsafe for.
    alone = table.positives.document[table.positives.start[:-1][table.positives.length == 1]]
    num_alone = np.bincount(alone, minlength=table.num_documents)
    num_barred = np.bincount(table.unsafe.document, minlength=table.num_documents)
    needed = np.where(num_alone > 0, num_alone * (batch_size - 1) + num_barred, 0)
    if table.num_documents and needed.max() > table.num_queries:
        worst = int(needed.argmax())
        fits = (table.num_queries - int(num_barred[worst])) // int(num_alone[worst]) + 1
        raise ValueError(
            f"plan_batches: expected batches of {batch_size} without a known positive among the negatives, got "
            f"document '{table.document_ids[worst]}' of '{table.language}', the only positive of "
            f"{num_alone[worst]} and relevant to {num_barred[worst]} of {table.num_queries} queries. Lower "
            f"plan_batches.batch_size to {max(fits, 1)}."
        )
