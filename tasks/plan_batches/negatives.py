"""Draw the hard negatives of dealt batches, none of them unsafe for any query of its batch.

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
    are left, random documents of the language that are safe for the whole batch fill the row up.

    Args:
        table: the language.
        query: query number per slot, [R].
        batch: number of the slot's batch, [R]; all slots that the language has in a batch come together.
        num_negatives: M.
        rng: draws.

    Returns:
        Document numbers, [R, M]: the hard ones first, the hardest leading, then those that fill up.

    Raises:
        ValueError: the language has too few documents that are safe for a batch.
    """
    sampler = _Sampler(table, query, batch, num_negatives, rng)
    drawn_RM = sampler.draw_blindly()
    unsafe_RM = (drawn_RM < 0) | sampler.bars(np.broadcast_to(batch[:, None], drawn_RM.shape), drawn_RM)
    again = np.flatnonzero(unsafe_RM.any(axis=1))
    drawn_RM[again] = sampler.draw_safe(again)
    short = np.flatnonzero((drawn_RM < 0).any(axis=1))
    drawn_RM[short] = sampler.fill(drawn_RM[short], batch[short])
    return drawn_RM


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
        barred: np.ndarray = self._anywhere[document]
        pairs = batch[barred] * self._table.num_documents + document[barred]
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

    def fill(self, drawn_RM: np.ndarray, batch: np.ndarray) -> np.ndarray:
        """Put random safe documents in the places of -1."""
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
            drawn_RM[short] = self._fill_from_all(drawn_RM[short], int(batch[short]))
        return drawn_RM

    def _fill_from_all(self, drawn_M: np.ndarray, batch: int) -> np.ndarray:
        table, missing = self._table, int((drawn_M < 0).sum())
        everything = np.arange(table.num_documents)
        safe = np.setdiff1d(everything[~self.bars(np.full(everything.size, batch), everything)], drawn_M)
        if safe.size < missing:
            raise ValueError(
                f"plan_batches: expected {drawn_M.size} documents of '{table.language}' that are safe negatives for "
                f"a whole batch, got {drawn_M.size - missing + safe.size} of {table.num_documents}. Lower "
                "plan_batches.num_negatives or plan_batches.batch_size, or retrieve more candidates."
            )
        return np.concatenate([drawn_M[drawn_M >= 0], self._rng.permutation(safe)[:missing]])
