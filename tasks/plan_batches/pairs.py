"""One language's datasets -> pairs of numbers: which documents are positives, kept, or unsafe for which query.

Queries get the place of their id among the sorted train ids; documents are numbered as they come.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from tasks.plan_batches.kept import KeptPairs
from tasks.plan_batches.numbering import Finder, Numbering, hash_ids
from tasks.plan_batches.safety import is_judged_relevant, is_unsafe, same_text


@dataclass
class Pairs:
    """Pairs of query (or group) and document number, added by and by."""

    _query: list[np.ndarray] = field(default_factory=lambda: [np.empty(0, dtype=np.int32)])
    _document: list[np.ndarray] = field(default_factory=lambda: [np.empty(0, dtype=np.int32)])

    def add(self, query: np.ndarray, document: np.ndarray) -> None:
        """Add some pairs."""
        self._query.append(query.astype(np.int32))
        self._document.append(document)

    @property
    def query(self) -> np.ndarray:
        """All queries."""
        return np.concatenate(self._query)

    @property
    def document(self) -> np.ndarray:
        """All documents."""
        return np.concatenate(self._document)


class Asked:
    """A language's queries of all splits, in the order in which they came: their place is what others know them by."""

    def __init__(self, queries: Iterable[pl.DataFrame]) -> None:
        """Read query_id, text, split."""
        rows = [frame.select("query_id", text=same_text(), train=pl.col("split") == "train") for frame in queries]
        asked = pl.concat(rows)
        self.ids = asked["query_id"]
        self.finder = Finder(self.ids)
        # Queries with the same text are one group; what is unsafe for one is unsafe for all.
        self.group = np.unique(asked["text"].to_numpy(), return_inverse=True)[1]
        self.train = np.append(asked["train"].to_numpy(), False)
        """Whether a query is one of train; the last entry answers for place -1, an unknown query."""


@dataclass(frozen=True)
class Gathered:
    """What a language's datasets say."""

    query_ids: pl.Series
    """Train queries with a positive, sorted."""
    group: np.ndarray
    """Group of each of them."""
    num_groups: int
    num_left_out: int
    """Train queries without a positive."""
    documents: Numbering
    """All candidates and positives."""
    positives: Pairs
    """By query."""
    unsafe: Pairs
    """By group."""
    kept: KeptPairs
    """By query."""


def gather_pairs(
    *, queries: Iterable[pl.DataFrame], qrels: Iterable[pl.DataFrame], ledger: Iterable[pl.DataFrame]
) -> Gathered:
    """Read one language's datasets, one frame at a time.

    Args:
        queries: query_id, text, split of all splits.
        qrels: query_id, doc_id, relevance.
        ledger: query_id, doc_id, decision, reason, grade, hardness.
    """
    asked, documents, unsafe, kept = Asked(queries), Numbering(), Pairs(), KeptPairs()
    judged, elsewhere = _read_positives(qrels, asked, documents)
    place, document = judged.query, judged.document
    unsafe.add(asked.group[place], document)
    has_positive = np.zeros(len(asked.ids), dtype=bool)
    has_positive[place] = True
    query_ids, number = _sort_queries(asked.ids, has_positive)
    positives = Pairs()
    positives.add(number[place], document)
    for frame in ledger:
        _read_ledger(frame, asked, number, documents, unsafe, kept)
    for place, hashes in elsewhere:
        document = documents.find(hashes)
        unsafe.add(asked.group[place[document >= 0]], document[document >= 0])
    group = np.empty(len(query_ids), dtype=np.int64)
    group[number[:-1][has_positive]] = asked.group[has_positive]
    return Gathered(
        query_ids=query_ids,
        group=group,
        num_groups=int(asked.group.max(initial=-1)) + 1,
        num_left_out=int(asked.train.sum()) - len(query_ids),
        documents=documents,
        positives=positives,
        unsafe=unsafe,
        kept=kept,
    )


def _read_positives(
    qrels: Iterable[pl.DataFrame], asked: Asked, documents: Numbering
) -> tuple[Pairs, list[tuple[np.ndarray, np.ndarray]]]:
    """Read the relevant pairs: those of train queries, by place; and those of other splits, with documents' hashes.

    Documents of other splits get no number: they count only where they are candidates, too.
    """
    positives, elsewhere = Pairs(), []
    for frame in qrels:
        relevant = frame.filter(is_judged_relevant())
        place = asked.finder.find(relevant["query_id"])
        is_train = asked.train[place]
        positives.add(place[is_train], documents.number(relevant["doc_id"].filter(pl.Series(is_train))))
        others = (place >= 0) & ~is_train
        elsewhere.append((place[others], hash_ids(relevant["doc_id"].filter(pl.Series(others)))))
    return positives, elsewhere


def _sort_queries(ids: pl.Series, wanted: np.ndarray) -> tuple[pl.Series, np.ndarray]:
    """Sort the wanted ids; returns them, and for each of all ids (and for place -1) its place among them or -1."""
    places = np.flatnonzero(wanted)
    order = ids.gather(places).arg_sort().to_numpy()
    number = np.full(len(ids) + 1, -1, dtype=np.int32)
    number[places[order]] = np.arange(places.size, dtype=np.int32)
    return ids.gather(places[order]), number


def _read_ledger(
    frame: pl.DataFrame, asked: Asked, number: np.ndarray, documents: Numbering, unsafe: Pairs, kept: KeptPairs
) -> None:
    place, document = asked.finder.find(frame["query_id"]), documents.number(frame["doc_id"])
    rows = np.flatnonzero(frame.select(is_unsafe()).to_series().to_numpy() & (place >= 0))
    unsafe.add(asked.group[place[rows]], document[rows])
    query = number[place]
    rows = np.flatnonzero((frame["decision"] == "kept").to_numpy() & (query >= 0))
    kept.add(query[rows], document[rows], frame["hardness"].gather(rows).fill_null(0).to_numpy())
