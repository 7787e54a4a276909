"""Draw the hard negatives of dealt batches, and find which documents of a batch are no negatives for a query of it.

Shapes: R slots, M negatives of a slot, K hard negatives at most.
"""

import numpy as np

from tasks.plan_batches.tables import LanguageTable

NUM_DRAWS = 32


def sample_negatives(
    table: LanguageTable, query: np.ndarray, batch: np.ndarray, *, num_negatives: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw each slot's negatives from its query's hard ones, without repetition.

    A hard negative that is unsafe for another query of the batch is passed over. Where fewer than `num_negatives`
    are left, random documents of the language that are safe for the whole batch fill the row up; where there are not
    even enough of those, such as are safe for the slot's own query, its hard ones first: `find_not_negatives` finds
    whom they are unsafe for.

    Args:
        table: the language.
        query: query number per slot, [R].
        batch: number of the slot's batch, [R]; all slots that the language has in a batch come together.
        num_negatives: M.
        rng: draws.

    Returns:
        Document numbers, [R, M]: the hard ones first, the hardest leading, then those that fill up.

    Raises:
        ValueError: the language has too few documents that are safe for a query.
    """
    sampler = _Sampler(table, query, batch, num_negatives, rng)
    drawn_RM = sampler.draw_blindly()
    unsafe_RM = (drawn_RM < 0) | sampler.bars(np.broadcast_to(batch[:, None], drawn_RM.shape), drawn_RM)
    again = np.flatnonzero(unsafe_RM.any(axis=1))
    drawn_RM[again] = sampler.draw_safe(again)
    short = np.flatnonzero((drawn_RM < 0).any(axis=1))
    drawn_RM[short] = sampler.fill(drawn_RM[short], short)
    return drawn_RM


def find_not_negatives(
    table: LanguageTable, query: np.ndarray, batch: np.ndarray, document_RC: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the documents of a slot's batch that are unsafe for its query, its own positive in its own place aside.

    Args:
        table: the language.
        query: query number per slot, [R].
        batch: number of the slot's batch, [R].
        document_RC: the slots' documents, the positive first, [R, 1 + M].

    Returns:
        Slots, ascending, and a document number for each, ascending within the slot; a pair occurs once.
    """
    brought = (batch[:, None] * table.num_documents + table.identity[document_RC]).reshape(-1)
    order = np.argsort(brought, kind="stable")
    slot, identity = table.unsafe.of(query)
    unsafe = batch[slot] * table.num_documents + identity
    first = np.searchsorted(brought, unsafe, sorter=order)
    length = np.searchsorted(brought, unsafe, side="right", sorter=order) - first
    owner = np.repeat(slot, length)
    place = order[np.arange(owner.size) + np.repeat(first - (np.cumsum(length) - length), length)]
    others = place != owner * document_RC.shape[1]
    pairs = np.unique(owner[others] * table.num_documents + document_RC.reshape(-1)[place[others]])
    return np.divmod(pairs, table.num_documents)


class _Sampler:
    """Draws documents for slots; knows which are unsafe for some query of a batch, and so barred there."""

    def __init__(
        self, table: LanguageTable, query: np.ndarray, batch: np.ndarray, num_negatives: int, rng: np.random.Generator
    ) -> None:
        self._table, self._query, self._batch = table, query, batch
        self._num_negatives, self._rng = num_negatives, rng
        slot, document = table.unsafe.of(query)
        self._barred = np.sort(batch[slot] * table.num_documents + document)
        self._anywhere = np.zeros(table.num_documents, dtype=bool)
        self._anywhere[document] = True

    def bars(self, batch: np.ndarray, document: np.ndarray) -> np.ndarray:
        """See for pairs of batch and document, of any shape, whether the document is barred there."""
        identity = self._table.identity[document]
        barred: np.ndarray = self._anywhere[identity]
        pairs = batch[barred] * self._table.num_documents + identity[barred]
        place = np.minimum(np.searchsorted(self._barred, pairs), self._barred.size - 1)
        barred[barred] = self._barred[place] == pairs
        return barred

    def draw_blindly(self) -> np.ndarray:
        """Draw from the hard negatives as if all were safe, as most are; [R, M], -1 in rows that have too few.

        Source: Floyd's sampling without replacement, Bentley, Programming Pearls, CACM 30(9), 1987.
        """
        hard, num_slots = self._table.hard_negatives, self._query.size
        num_hard = hard.length[self._query]
        place_RM = np.full((num_slots, self._num_negatives), -1, dtype=np.int64)
        for column in range(self._num_negatives):
            last = num_hard - self._num_negatives + column
            place = (self._rng.random(num_slots) * (last + 1)).astype(np.int64)
            taken = (place_RM[:, :column] == place[:, None]).any(axis=1)
            place_RM[:, column] = np.where(taken, last, place)
        place_RM.sort(axis=1)
        drawn_RM = np.full_like(place_RM, -1)
        enough = num_hard >= self._num_negatives
        drawn_RM[enough] = hard.document[hard.start[self._query[enough]][:, None] + place_RM[enough]]
        return drawn_RM

    def draw_safe(self, slots: np.ndarray) -> np.ndarray:
        """Draw from the hard negatives that are safe for the batch; [R, M], -1 where there are no more."""
        slot, document = self._table.hard_negatives.of(self._query[slots])
        safe = ~self.bars(self._batch[slots[slot]], document)
        slot, document = slot[safe], document[safe]
        num_safe = np.bincount(slot, minlength=slots.size)
        place = np.arange(slot.size) - np.repeat(np.cumsum(num_safe) - num_safe, num_safe)
        document_RK = np.full((slots.size, max(int(num_safe.max(initial=0)), self._num_negatives)), -1, dtype=np.int64)
        document_RK[slot, place] = document
        lot_RK = np.where(document_RK < 0, 2.0, self._rng.random(document_RK.shape))  # what isn't there is drawn last
        place_RM = np.sort(np.argsort(lot_RK, axis=1, kind="stable")[:, : self._num_negatives], axis=1)
        return np.take_along_axis(document_RK, place_RM, axis=1)

    def fill(self, drawn_RM: np.ndarray, slots: np.ndarray) -> np.ndarray:
        """Put random safe documents in the places of -1."""
        batch = self._batch[slots]
        for _ in range(NUM_DRAWS + drawn_RM.shape[1]):
            row, place = np.nonzero(drawn_RM < 0)
            if not row.size:
                return drawn_RM
            lot = self._rng.integers(self._table.num_documents, size=row.size)
            usable = ~self.bars(batch[row], lot) & ~(drawn_RM[row] == lot[:, None]).any(axis=1)
            first = np.unique(row[usable], return_index=True)[1]  # one per row and draw, so that no row repeats itself
            taken = np.flatnonzero(usable)[first]
            drawn_RM[row[taken], place[taken]] = lot[taken]
        for short in np.flatnonzero((drawn_RM < 0).any(axis=1)):  # nearly nothing is safe here: look at all documents
            drawn_RM[short] = self._fill_from_all(drawn_RM[short], int(slots[short]))
        return drawn_RM

    def _fill_from_all(self, drawn_M: np.ndarray, slot: int) -> np.ndarray:
        table, query = self._table, int(self._query[slot])
        everything = np.arange(table.num_documents)
        safe = np.setdiff1d(everything[~self.bars(np.full(everything.size, self._batch[slot]), everything)], drawn_M)
        lots = [drawn_M[drawn_M >= 0], self._rng.permutation(safe)]
        if sum(lot.size for lot in lots) < drawn_M.size:  # others of the batch may find the rest relevant
            own = np.setdiff1d(everything[~np.isin(table.identity, table.unsafe[query])], np.concatenate(lots))
            hard = np.isin(own, table.hard_negatives[query])
            lots += [self._rng.permutation(own[hard]), self._rng.permutation(own[~hard])]
        found = np.concatenate(lots)
        if found.size < drawn_M.size:
            raise ValueError(
                f"plan_batches: expected {drawn_M.size} documents of '{table.language}' that are safe negatives for "
                f"query '{table.query_ids[query]}', got {found.size} of {table.num_documents}. Lower "
                "plan_batches.num_negatives, or retrieve more candidates."
            )
        return found[: drawn_M.size]
