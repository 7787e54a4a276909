"""Swap queries between batches until no positive is unsafe for another query of its batch.

Most batches need nothing, so clashes are found with arrays and mended one by one.
"""

from collections import Counter, deque
from collections.abc import Iterator

import numpy as np

from tasks.plan_batches.tables import LanguageTable

NUM_LOOKS = 64  # partners looked at per swap
NUM_LOOKS_EASING = 8  # the same where not all clashes can be mended: most looks are in vain
TWICE = 1 << 20  # so many clashes is a query's second place in a batch worth: that can always be mended
RANDOM_SWAPS = 0.05  # share of swaps taken blindly, against going round in circles


def find_clashes(table: LanguageTable, query: np.ndarray, positive: np.ndarray, batch: np.ndarray) -> np.ndarray:
    """Find the slots whose query must not see the positive of another slot of its batch.

    Args:
        table: the language.
        query: query number per slot.
        positive: document number of the slot's positive.
        batch: number of the slot's batch.

    Returns:
        Slot numbers, ascending.
    """
    brought = np.sort(batch * table.num_documents + table.identity[positive])
    slot, document = table.unsafe_positives.of(query)
    barred = batch[slot] * table.num_documents + document
    hits = np.searchsorted(brought, barred, side="right") - np.searchsorted(brought, barred)
    return np.flatnonzero(np.bincount(slot[hits > 0], hits[hits > 0], minlength=query.size) > 1)  # 1: its own positive


def mend_clashes(
    table: LanguageTable,
    query: np.ndarray,
    positive: np.ndarray,
    batch: np.ndarray,
    *,
    num_fixed: int,
    rng: np.random.Generator,
) -> bool:
    """Mend all clashes, in place: by another positive of the query, else by a swap with another batch.

    Args:
        table: the language.
        query: query number per slot, batch after batch.
        positive: document number of the slot's positive.
        batch: number of the slot's batch, from 0 without a gap; ascending.
        num_fixed: so many slots at the beginning stay as they are; among each other they have no clash.
        rng: draws the partners.

    Returns:
        Whether all clashes are mended; if not, what is left is worth no more than a new deal.
    """
    todo = _movable_clashes(table, query, positive, batch, num_fixed)
    seats = _Seats(table, query, positive, batch, num_fixed, rng)
    for _ in range(200 + 20 * len(todo)):
        if not todo:
            return True
        seats.mend(todo)
    return not todo


def ease_clashes(
    table: LanguageTable,
    query: np.ndarray,
    positive: np.ndarray,
    batch: np.ndarray,
    *,
    num_fixed: int,
    rng: np.random.Generator,
) -> None:
    """Mend what clashes can be mended, in place, where not all can: by changes that leave fewer of them.

    The arguments are those of `mend_clashes`.
    """
    todo = _movable_clashes(table, query, positive, batch, num_fixed)
    seats = _Seats(table, query, positive, batch, num_fixed, rng, easing=True)
    while todo:
        seats.mend(todo)


def _movable_clashes(
    table: LanguageTable, query: np.ndarray, positive: np.ndarray, batch: np.ndarray, num_fixed: int
) -> deque[int]:
    """Return the slots to look at: beside fixed slots, that do not move themselves, all of the first batch."""
    clashing = find_clashes(table, query, positive, batch)
    first = range(num_fixed, int(np.searchsorted(batch, 1))) if num_fixed else range(0)
    return deque([*first, *clashing[clashing >= max(num_fixed, first.stop)].tolist()])


class _Seats:
    """Who sits in which batch, with counts of the documents brought there and barred there, and of the queries."""

    def __init__(
        self,
        table: LanguageTable,
        query: np.ndarray,
        positive: np.ndarray,
        batch: np.ndarray,
        num_fixed: int,
        rng: np.random.Generator,
        *,
        easing: bool = False,
    ) -> None:
        self._identity, self._easing = table.identity, easing
        self._positives, self._unsafe, self._topic = table.positives, table.unsafe_positives, table.topic
        self._query, self._positive, self._batch = query, positive, batch
        self._num_fixed, self._rng = num_fixed, rng
        self._first = np.searchsorted(batch, np.arange(int(batch[-1]) + 2))  # slot; one more than there are batches
        self._counts: dict[int, tuple[Counter[int], Counter[int], Counter[int]]] = {}
        movable = np.arange(num_fixed, query.size)
        self._by_topic = movable[np.argsort(table.topic[query[movable]], kind="stable")]
        self._topics = table.topic[query[self._by_topic]]

    def mend(self, todo: deque[int]) -> None:
        """Mend the next slot, if it has a clash; what was swapped is looked at again."""
        slot = todo.popleft()
        if self.has_clash(slot) and not self.take_other_positive(slot) and not self.have_others_give_way(slot):
            todo.extend(self.swap(slot))

    def has_clash(self, slot: int) -> bool:
        """See whether the slot's positive is barred to another of its batch, or the other way round."""
        query, positive = self._leave(slot)
        clash = self._clashes(int(self._batch[slot]), query, positive) > 0
        self._take(slot, query, positive)
        return clash

    def take_other_positive(self, slot: int) -> bool:
        """Give the slot's query another of its positives, if one is free of clashes."""
        query, positive = self._leave(slot)
        clashes, other = self._best_positive(int(self._batch[slot]), query)
        self._take(slot, query, positive if clashes else other)
        return clashes == 0

    def have_others_give_way(self, slot: int) -> bool:
        """Give others of the batch another positive until the slot has no clash, if that is possible."""
        batch = int(self._batch[slot])
        for other in range(max(int(self._first[batch]), self._num_fixed), int(self._first[batch + 1])):
            has_choice = other != slot and self._positives[self._query[other]].size > 1
            gave_way = has_choice and self.has_clash(other) and self.take_other_positive(other)
            if gave_way and not self.has_clash(slot):
                return True
        return False

    def swap(self, slot: int) -> list[int]:
        """Swap the slot's query with one of another batch, of the same topic if possible; return what to look at."""
        query, positive = self._leave(slot)
        home = int(self._batch[slot])
        before = self._clashes(home, query, positive)
        blindly = not self._easing and self._rng.random() < RANDOM_SWAPS
        best: tuple[int, int, int, int] | None = None
        for partner in self._partners(slot):
            away = int(self._batch[partner])
            other_query, other_positive = self._leave(partner)
            here, brought_here = self._best_positive(home, other_query)
            there, brought_there = self._best_positive(away, query)
            gain = before + self._clashes(away, other_query, other_positive) - here - there
            self._take(partner, other_query, other_positive)
            if best is None or gain > best[0]:
                best = (gain, partner, brought_here, brought_there)
            if blindly or not here + there:
                break
        if best is None or (self._easing and best[0] <= 0):
            self._take(slot, query, positive)
            return [] if self._easing and before < TWICE else [slot]
        _, partner, brought_here, brought_there = best
        other_query, _ = self._leave(partner)
        self._take(slot, other_query, brought_here)
        self._take(partner, query, brought_there)
        return [slot, partner]

    def _partners(self, slot: int) -> Iterator[int]:
        """Slots of other batches: some of the same topic, then some of any, each from a random place on."""
        topic = self._topic[self._query[slot]]
        low, high = np.searchsorted(self._topics, [topic, topic + 1])
        for slots in (self._by_topic[low:high], self._by_topic):
            if slots.size:
                start = int(self._rng.integers(slots.size))
                looks = min(slots.size, NUM_LOOKS_EASING if self._easing else NUM_LOOKS)
                some = np.take(slots, range(start, start + looks), mode="wrap")
                yield from some[self._batch[some] != self._batch[slot]].tolist()

    def _best_positive(self, batch: int, query: int) -> tuple[int, int]:
        return min((self._clashes(batch, query, option), option) for option in self._positives[query].tolist())

    def _clashes(self, batch: int, query: int, positive: int) -> int:
        brought, barred, queries = self._count(batch)
        clashes = barred[int(self._identity[positive])]
        clashes += sum(brought[document] for document in self._unsafe[query].tolist())
        return clashes + TWICE * queries[query] if self._easing else clashes

    def _leave(self, slot: int) -> tuple[int, int]:
        query, positive = int(self._query[slot]), int(self._positive[slot])
        brought, barred, queries = self._count(int(self._batch[slot]))
        queries[query] -= 1
        brought[int(self._identity[positive])] -= 1
        barred.subtract(self._unsafe[query].tolist())
        return query, positive

    def _take(self, slot: int, query: int, positive: int) -> None:
        self._query[slot], self._positive[slot] = query, positive
        brought, barred, queries = self._count(int(self._batch[slot]))
        queries[query] += 1
        brought[int(self._identity[positive])] += 1
        barred.update(self._unsafe[query].tolist())

    def _count(self, batch: int) -> tuple[Counter[int], Counter[int], Counter[int]]:
        if batch not in self._counts:
            slots = slice(int(self._first[batch]), int(self._first[batch + 1]))
            queries, brought = self._query[slots], self._identity[self._positive[slots]]
            barred = self._unsafe.of(queries)[1]
            self._counts[batch] = Counter(brought.tolist()), Counter(barred.tolist()), Counter(queries.tolist())
        return self._counts[batch]
