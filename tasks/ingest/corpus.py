"""Documents -> the corpus: every id once, part by part.

Repeated ids are found in a stream, exactly, at 8 bytes per document: a first look compares 64-bit hashes of the
ids. Documents whose hash was seen before are held back, and a second look reads the corpus again for the first
document of each held id: it tells a repeated id from two ids that share a hash.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl

from tasks.ingest.rows import BadRow, Document, bad_row

BATCH_ROWS = 16_384
MAX_HELD_ROWS = 50_000
PART_ROWS = 50_000

Rows = Iterator[Document | BadRow]


class SeenHashes:
    """A growing set of 64-bit hashes: sorted runs, merged like the digits of a binary counter.

    8 bytes per hash, 16 for a moment while the two longest runs become one.
    """

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []

    def add(self, hashes: np.ndarray) -> np.ndarray:
        """Add hashes, shape [N], uint64.

        Returns:
            Shape [N], bool: True where the hash was added before, in an earlier call or further left.
        """
        values, first = np.unique(hashes, return_index=True)
        old = np.zeros(len(values), dtype=bool)
        for run in self._runs:
            place = np.searchsorted(run, values).clip(max=len(run) - 1)
            old |= run[place] == values
        seen = np.ones(len(hashes), dtype=bool)
        seen[first] = old
        if old.all():
            return seen
        self._runs.append(values[~old])
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            last, before = self._runs.pop(), self._runs.pop()
            merged = np.concatenate([before, last])
            del last, before
            merged.sort()
            self._runs.append(merged)
        return seen


def hash_ids(ids: list[str]) -> np.ndarray:
    """Return a 64-bit hash per id, shape [N], uint64."""
    return pl.Series(ids, dtype=pl.String).hash(seed=0).to_numpy()


def unique_documents(
    rows: Rows,
    *,
    reread: Callable[[], Rows],
    repeats: bool = False,
    hash_ids: Callable[[list[str]], np.ndarray] = hash_ids,
    where: str = "corpus",
) -> Rows:
    """Turn documents whose id came before into bad rows.

    Args:
        rows: the corpus, once.
        reread: reads the same corpus again; called only if hashes repeat.
        repeats: the corpus is a list of passages in which a document stands as often as it was judged: repeated
            rows with the same content are left out and not called bad.
        hash_ids: ids -> uint64, shape [N]; the result does not depend on it but for the place of a document
            whose hash another id has.
        where: the first file, for the error.

    Returns:
        All rows in order, but what was held back comes after the others.

    Raises:
        ValueError: at the end; there is no document that can be used.
    """
    seen = SeenHashes()
    held: dict[Any, tuple[int, Document]] = {}
    numbered, is_empty = enumerate(rows), True
    while batch := list(itertools.islice(numbered, BATCH_ROWS)):
        hashes = hash_ids([row.doc_id for _, row in batch if isinstance(row, Document)])
        again, is_empty = iter(seen.add(hashes).tolist()), is_empty and not len(hashes)
        for number, row in batch:
            if isinstance(row, BadRow) or not next(again):
                yield row
            else:
                held.setdefault((row.doc_id, row.title, row.text) if repeats else number, (number, row))
        if len(held) >= MAX_HELD_ROWS:
            yield from _second_look(list(held.values()), reread(), repeats)
            held.clear()
    if held:
        yield from _second_look(list(held.values()), reread(), repeats)
    if is_empty:
        raise ValueError(f"{where}: expected documents, got none that can be used. Correct the files of ingest.corpus.")


def corpus_parts(documents: Iterable[Document], *, part_rows: int = PART_ROWS) -> Iterator[pl.DataFrame]:
    """Yield frames of at most `part_rows` documents: doc_id, title, text, in the given order.

    Only one part is in memory at a time.
    """
    rows = iter(documents)
    while part := list(itertools.islice(rows, part_rows)):
        yield pl.DataFrame(
            {
                "doc_id": [document.doc_id for document in part],
                "title": [document.title for document in part],
                "text": [document.text for document in part],
            },
            schema={"doc_id": pl.String, "title": pl.String, "text": pl.String},
        )


def _second_look(held: list[tuple[int, Document]], rows: Rows, repeats: bool) -> Rows:
    firsts: dict[str, tuple[int, Document]] = {}
    missing = {row.doc_id for _, row in held}
    for number, row in enumerate(rows):
        if isinstance(row, Document) and row.doc_id in missing:
            firsts[row.doc_id] = (number, row)
            missing.remove(row.doc_id)
            if not missing:
                break
    for number, row in held:
        first_number, first = firsts[row.doc_id]
        same = (first.title, first.text) == (row.title, row.text)
        if first_number == number:  # another id has the same hash
            yield row
        elif not (repeats and same):
            reason = "duplicate id, same content" if same else "duplicate id, other content"
            got = f"'{row.doc_id}' again, first in {first.source}, line {first.line}"
            yield bad_row(row.source, row.line, reason, got=got, field="doc_id", content=row.text)
