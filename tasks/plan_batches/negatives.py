"""Draw the hard negatives of dealt batches, none of them unsafe for any query of its batch.

Shapes: R slots, M negatives of a slot, K hard negatives kept at most.
"""

import numpy as np

from tasks.plan_batches.tables import LanguageTable

NUM_DRAWS = 32


def sample_negatives(
    table: LanguageTable, query: np.ndarray, batch: np.ndarray, *, num_negatives: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw each slot's negatives from its query's kept ones, without repetition.

    A kept negative that is unsafe for another query of the batch is passed over. Where fewer than `num_negatives`
    are left, random documents of the language that are safe for the whole batch fill the row up.

    Args:
        table: the language.
        query: query number per slot, [R].
        batch: number of the slot's batch, [R]; all slots that the language has in a batch come together.
        num_negatives: M.
        rng: draws.

    Returns:
        Document numbers, [R, M]: the kept ones first, the hardest leading, then those that fill up.

    Raises:
        ValueError: the language has too few documents that are safe for a batch.
    """
    barred = _Barred(table, query, batch)
    drawn_RM = _draw_blindly(table, query, num_negatives, rng)
    unsafe_RM = (drawn_RM < 0) | barred.has(np.broadcast_to(batch[:, None], drawn_RM.shape), drawn_RM)
    again = np.flatnonzero(unsafe_RM.any(axis=1))
    drawn_RM[again] = _draw_safe(table, query[again], batch[again], barred, num_negatives, rng)
    short = np.flatnonzero((drawn_RM < 0).any(axis=1))
    drawn_RM[short] = _fill(table, drawn_RM[short], batch[short], barred, rng)
    return drawn_RM


class _Barred:
    """The documents that are unsafe for some query of a batch."""

    def __init__(self, table: LanguageTable, query: np.ndarray, batch: np.ndarray) -> None:
        owner, document = table.unsafe.of(query)
        self._num_documents = table.num_documents
        self._pairs = np.sort(batch[owner] * self._num_documents + document)
        self._anywhere = np.zeros(self._num_documents, dtype=bool)
        self._anywhere[document] = True

    def has(self, batch: np.ndarray, document: np.ndarray) -> np.ndarray:
        """See for pairs of batch and document, of any shape, whether the document is barred there."""
        barred: np.ndarray = self._anywhere[document]
        pairs = batch[barred] * self._num_documents + document[barred]
        place = np.minimum(np.searchsorted(self._pairs, pairs), self._pairs.size - 1)
        barred[barred] = self._pairs[place] == pairs
        return barred


def _draw_blindly(table: LanguageTable, query: np.ndarray, num_negatives: int, rng: np.random.Generator) -> np.ndarray:
    """Draw from the kept ones as if all were safe, as most are; [R, M], -1 in rows that have too few.

    Source: Floyd's sampling without replacement, Bentley, Programming Pearls, CACM 30(9), 1987.
    """
    num_kept = table.hard_negatives.start[query + 1] - table.hard_negatives.start[query]
    place_RM = np.full((query.size, num_negatives), -1, dtype=np.int64)
    enough = num_kept >= num_negatives
    for column in range(num_negatives):
        last = num_kept - num_negatives + column
        place = (rng.random(query.size) * (last + 1)).astype(np.int64)
        taken = (place_RM[:, :column] == place[:, None]).any(axis=1)
        place_RM[:, column] = np.where(taken, last, place)
    place_RM.sort(axis=1)
    drawn_RM = np.full_like(place_RM, -1)
    drawn_RM[enough] = table.hard_negatives.document[
        table.hard_negatives.start[query[enough]][:, None] + place_RM[enough]
    ]
    return drawn_RM


def _draw_safe(
    table: LanguageTable,
    query: np.ndarray,
    batch: np.ndarray,
    barred: _Barred,
    num_negatives: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw from the kept ones that are safe for the batch; [R, M], -1 where there are no more."""
    owner, document = table.hard_negatives.of(query)
    safe = ~barred.has(batch[owner], document)
    owner, document = owner[safe], document[safe]
    num_safe = np.bincount(owner, minlength=query.size)
    place = np.arange(owner.size) - np.repeat(np.cumsum(num_safe) - num_safe, num_safe)
    document_RK = np.full((query.size, max(int(num_safe.max(initial=0)), num_negatives)), -1, dtype=np.int64)
    document_RK[owner, place] = document
    lot_RK = np.where(document_RK < 0, 2.0, rng.random(document_RK.shape))  # what isn't there is drawn last
    place_RM = np.sort(np.argsort(lot_RK, axis=1, kind="stable")[:, :num_negatives], axis=1)
    return np.take_along_axis(document_RK, place_RM, axis=1)


def _fill(
    table: LanguageTable, drawn_RM: np.ndarray, batch: np.ndarray, barred: _Barred, rng: np.random.Generator
) -> np.ndarray:
    """Put random safe documents in the places of -1."""
    for _ in range(NUM_DRAWS + drawn_RM.shape[1]):
        row, place = np.nonzero(drawn_RM < 0)
        if not row.size:
            return drawn_RM
        lot = rng.integers(table.num_documents, size=row.size)
        usable = ~barred.has(batch[row], lot) & ~(drawn_RM[row] == lot[:, None]).any(axis=1)
        first = np.unique(row[usable], return_index=True)[1]  # one per row and draw, so that no row repeats itself
        taken = np.flatnonzero(usable)[first]
        drawn_RM[row[taken], place[taken]] = lot[taken]
    for index in np.flatnonzero((drawn_RM < 0).any(axis=1)):  # nearly nothing is safe here: look at all documents
        drawn_RM[index] = _fill_up(table, drawn_RM[index], int(batch[index]), barred, rng)
    return drawn_RM


def _fill_up(
    table: LanguageTable, drawn_M: np.ndarray, batch: int, barred: _Barred, rng: np.random.Generator
) -> np.ndarray:
    missing = int((drawn_M < 0).sum())
    everything = np.arange(table.num_documents)
    safe = np.setdiff1d(everything[~barred.has(np.full(everything.size, batch), everything)], drawn_M)
    if safe.size < missing:
        raise ValueError(
            f"plan_batches: expected {drawn_M.size} documents of '{table.language}' that are safe negatives for "
            f"a whole batch, got {drawn_M.size - missing + safe.size} of {table.num_documents}. Lower "
            "plan_batches.num_negatives or plan_batches.batch_size, or retrieve more candidates."
        )
    return np.concatenate([drawn_M[drawn_M >= 0], rng.permutation(safe)[:missing]])
