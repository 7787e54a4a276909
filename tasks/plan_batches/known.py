"""What is known about one language's train queries, as the check of a plan needs it: hashes of ids, no numbers.

Shared with the planner's tables is the definition of an unsafe document, and nothing else.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from tasks.plan_batches.safety import is_judged_relevant, is_unsafe, same_text
from tasks.plan_batches.shelf import Shelf

SEED = 1  # another hash than the planner's: an id that it took for another one is seen here


def hashes(ids: pl.Series) -> np.ndarray:
    """Hash ids to uint64."""
    return np.asarray(ids.hash(SEED).to_numpy())


@dataclass(frozen=True)
class Known:
    """Train queries with a positive, by the hash of their id, and their documents."""

    query: np.ndarray
    """Hashes, ascending, uint64 [Q]."""
    group: np.ndarray
    """Number of each query's text, [Q]: queries with one text share what is unsafe."""
    positives: "Documents"
    """By query."""
    unsafe: "Documents"
    """By group."""

    def find(self, ids: pl.Series) -> np.ndarray:
        """Return each query's place, or -1."""
        wanted = hashes(ids)
        if not self.query.size:
            return np.full(wanted.size, -1)
        place = np.minimum(np.searchsorted(self.query, wanted), self.query.size - 1)
        return np.where(self.query[place] == wanted, place, -1)


@dataclass(frozen=True)
class Documents:
    """Hashes of documents, list after list."""

    start: np.ndarray
    document: np.ndarray

    @classmethod
    def gather(cls, owner: np.ndarray, document: np.ndarray, *, num_lists: int) -> "Documents":
        """Put pairs of list and document in order."""
        order = np.argsort(owner, kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=num_lists))])
        return cls(start, document[order])

    def of(self, lists: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Join some lists: (position in `lists`, document)."""
        first, end = self.start[lists], self.start[lists + 1]
        owner = np.repeat(np.arange(lists.size), end - first)
        within = np.arange(owner.size) - np.repeat(np.cumsum(end - first) - (end - first), end - first)
        return owner, self.document[first[owner] + within]


def gather_known(
    *,
    queries: Iterable[pl.DataFrame],
    qrels: Iterable[pl.DataFrame],
    ledger: Iterable[pl.DataFrame],
    shelf: Shelf,
) -> Known:
    """Gather what is known about one language's train queries.

    Args:
        queries: query_id, text, split of its queries of all splits, in frames.
        qrels: query_id, doc_id, relevance of its judgements.
        ledger: query_id, doc_id, decision, reason, grade of its hard_negatives.
        shelf: where it is put.
    """
    asked = pl.concat(
        [
            frame.select(pl.col("query_id").hash(SEED), text=same_text(), train=pl.col("split") == "train")
            for frame in queries
        ]
    ).sort("query_id")
    query, train = asked["query_id"].to_numpy(), asked["train"].to_numpy()
    group = np.unique(asked["text"].to_numpy(), return_inverse=True)[1]
    relevant = _places(query, _hashed(qrels, is_judged_relevant()))
    suspect = _places(query, _hashed(ledger, is_unsafe()))
    own = train[relevant[0]]
    has_positive = np.zeros(query.size, dtype=bool)
    has_positive[relevant[0][own]] = True
    number = np.cumsum(has_positive) - 1
    num_queries = int(has_positive.sum())
    positives = Documents.gather(number[relevant[0][own]], relevant[1][own], num_lists=num_queries)
    unsafe = Documents.gather(
        group[np.concatenate([relevant[0], suspect[0]])],
        np.concatenate([relevant[1], suspect[1]]),
        num_lists=int(group.max(initial=-1)) + 1,
    )
    return Known(
        query=query[has_positive],
        group=group[has_positive],
        positives=positives,
        unsafe=Documents(shelf.array("unsafe-start", unsafe.start), shelf.array("unsafe-document", unsafe.document)),
    )


def _hashed(frames: Iterable[pl.DataFrame], wanted: pl.Expr) -> pl.DataFrame:
    pairs = [frame.filter(wanted).select(pl.col("query_id", "doc_id").hash(SEED)) for frame in frames]
    return pl.concat([pl.DataFrame(schema={"query_id": pl.UInt64, "doc_id": pl.UInt64}), *pairs])


def _places(query: np.ndarray, pairs: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Replace queries by their places; unknown ones are left out."""
    wanted, document = pairs["query_id"].to_numpy(), pairs["doc_id"].to_numpy()
    if not query.size:
        return np.empty(0, dtype=np.int64), document[:0]
    place = np.minimum(np.searchsorted(query, wanted), query.size - 1)
    found = query[place] == wanted
    return place[found], document[found]
