"""Deal one language's queries into batches: every query once per pass, topics spread evenly, few clashes or none.

A clash is a positive that is unsafe for another query of its batch. Where many queries share a positive, not all can be
kept apart: as many as possible are.
"""

from collections.abc import Iterator

import numpy as np

from tasks.plan_batches.clashes import ease_clashes, mend_clashes
from tasks.plan_batches.tables import LanguageTable

NUM_DEALS = 5


class Dealer:
    """An endless deal of one language's batches.

    A pass shows every query once; a batch may take the last queries of one pass and the first of the next. So at any
    step no query has been seen twice more often than another.
    """

    def __init__(
        self, table: LanguageTable, sizes: Iterator[np.ndarray], *, topic_balance: bool, rng: np.random.Generator
    ) -> None:
        """Begin a deal.

        Args:
            table: the language.
            sizes: how many slots the language has in each batch that it is in, in order, without an end.
            topic_balance: deal by topic; else in random order.
            rng: draws.
        """
        self._table, self._sizes, self._topic_balance = table, sizes, topic_balance
        self._rng, self._slot_rng = rng.spawn(2)  # apart, so that it doesn't matter how many are dealt at once
        first = table.identity[table.positives.document[table.positives.start[:-1]]]
        self._first_positive = np.unique(first, return_inverse=True)[1]
        self._separable_size = table.separable_size()
        # Sizes of the batches that are not yet handed out; and the slots dealt so far, the last batch maybe unfinished.
        self._size = np.empty(0, dtype=np.int64)
        self._query = np.empty(0, dtype=np.int64)
        self._positive = np.empty(0, dtype=np.int64)

    def deal(self, num_batches: int) -> tuple[np.ndarray, np.ndarray]:
        """Hand out the next batches.

        Returns:
            Query numbers and the document numbers of their positives, batch after batch, in random order within.

        Raises:
            ValueError: more slots in a batch than queries.
        """
        while self._size.size < num_batches:
            self._look_ahead()
        size = self._size[:num_batches]
        num_slots = int(size.sum())
        while self._query.size < num_slots:
            self._deal_pass()
        query, self._query = np.split(self._query, [num_slots])
        positive, self._positive = np.split(self._positive, [num_slots])
        self._size = self._size[num_batches:]
        order = np.lexsort((self._slot_rng.random(num_slots), np.repeat(np.arange(num_batches), size)))
        return query[order], positive[order]

    def _look_ahead(self) -> None:
        """Take more batches into view."""
        sizes = next(self._sizes)
        if sizes.size and sizes.max() > self._table.num_queries:
            raise ValueError(_too_few(self._table, int(sizes.max())))
        self._size = np.concatenate([self._size, sizes])

    def _deal_pass(self) -> None:
        """Deal every query once; the first of them fill up the unfinished batch."""
        num_slots = self._query.size + self._table.num_queries
        while self._size.sum() < num_slots:
            self._look_ahead()
        end = np.cumsum(self._size)
        done = int(end[end <= self._query.size].max(initial=0))
        unfinished = self._query.size - done
        batch = np.searchsorted(end, np.arange(done, num_slots), side="right")
        batch -= batch[0]
        num_deals = NUM_DEALS if self._size.min() <= self._separable_size else 0
        for deal in range(num_deals + 1):
            query = np.concatenate([self._query[done:], self._order(batch[unfinished:])])
            positive = self._draw_positives(query)
            positive[:unfinished] = self._positive[done:]
            if deal == num_deals:
                ease_clashes(self._table, query, positive, batch, num_fixed=unfinished, rng=self._rng)
                self._separable_size = 0  # the next pass will be no better: it need not try
            elif mend_clashes(self._table, query, positive, batch, num_fixed=unfinished, rng=self._rng):
                break
        self._query = np.concatenate([self._query[:done], query])
        self._positive = np.concatenate([self._positive[:done], positive])

    def _order(self, batch: np.ndarray) -> np.ndarray:
        """Order the queries for a pass whose slots lie in these batches.

        Each topic, and within it each first positive, goes to as many batches as can be: the queries, sorted by topic,
        go to the batches in turn. A batch that has fewer free slots (the unfinished one, the last one) gets its turn
        less often.
        """
        if not self._topic_balance:
            return self._rng.permutation(batch.size)
        batch = batch - batch[0]
        free = np.bincount(batch)
        first = np.cumsum(free) - free
        turn = (np.arange(batch.size) - first[batch] + self._rng.random(free.size)[batch]) / free[batch]
        spread = np.empty(batch.size, dtype=np.int64)
        spread[np.argsort(turn, kind="stable")] = self._by_topic()
        return spread

    def _by_topic(self) -> np.ndarray:
        """Sort the queries by topic and first positive; topics, positives and queries in random order."""
        topic, positive = self._table.topic, self._first_positive
        lots = (
            self._rng.random(topic.size),
            self._rng.permutation(int(positive.max()) + 1)[positive],
            self._rng.permutation(int(topic.max()) + 1)[topic],
        )
        return np.asarray(np.lexsort(lots))

    def _draw_positives(self, query: np.ndarray) -> np.ndarray:
        positives = self._table.positives
        choice = (self._rng.random(query.size) * positives.length[query]).astype(np.int64)
        return np.asarray(positives.document[positives.start[query] + choice])


def check_room(table: LanguageTable, batch_size: int) -> None:
    """See that a language can fill batches of its own at all.

    Raises:
        ValueError: fewer queries than slots.
    """
    if table.num_queries < batch_size:
        raise ValueError(_too_few(table, batch_size))


def _too_few(table: LanguageTable, batch_size: int) -> str:
    return (
        f"plan_batches: expected at least {batch_size} train queries with a positive in '{table.language}', as many as "
        f"a batch takes of it, got {table.num_queries}. Lower plan_batches.batch_size or leave the language out."
    )
