"""One language's queries, positives and negatives as integer tables, so that millions of slots can be planned.

The datasets come in frames of bounded size; what stays is four bytes per kept negative and unsafe document, and each id
once. Queries and documents are numbered in the order of their sorted ids: numbers don't depend on row order.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from tasks.plan_batches.kept import KeptPairs
from tasks.plan_batches.lists import Lists
from tasks.plan_batches.numbering import Finder, Numbering, hash_ids
from tasks.plan_batches.safety import is_judged_relevant, is_unsafe, same_text
from tasks.plan_batches.shelf import Shelf


@dataclass(frozen=True)
class LanguageTable:
    """What planning needs to know about one language."""

    language: str
    query_ids: pl.Series
    """Ids of the train queries that have a positive, sorted."""
    document_ids: pl.Series
    """Ids of all candidates and positives, sorted: the pool that short lists of negatives are filled from."""
    topic: np.ndarray
    """Topic of each query."""
    positives: Lists
    """Documents judged relevant."""
    kept: Lists
    """Hard negatives that the ledger kept, the hardest first."""
    unsafe: Lists
    """Documents that must not be among the query's in-batch negatives, its positives included."""
    unsafe_positives: Lists
    """Those of `unsafe` that are some query's positive."""
    num_left_out: int
    """Train queries without a positive: there is nothing to train them on."""

    @property
    def num_queries(self) -> int:
        """Train queries with a positive."""
        return len(self.query_ids)

    @property
    def num_documents(self) -> int:
        """Documents in the pool."""
        return len(self.document_ids)


def build_table(
    language: str,
    *,
    queries: Iterable[pl.DataFrame],
    qrels: Iterable[pl.DataFrame],
    ledger: Iterable[pl.DataFrame],
    topics: pl.DataFrame,
    shelf: Shelf,
) -> LanguageTable:
    """Number one language's train queries and documents.

    A ledger whose rows come query by query and hardest first, as `denoise` writes it, is never sorted.

    Args:
        language: its code.
        queries: its queries of all splits, in frames: query_id, text, split.
        qrels: all of its judgements: query_id, doc_id, relevance.
        ledger: its hard_negatives: query_id, doc_id, decision, reason, grade, hardness.
        topics: topics of at least its train queries: query_id, topic.
        shelf: where the table is put.

    Returns:
        The table. A train query without a positive is left out.

    Raises:
        ValueError: a train query with a positive has no topic.
    """
    asked = pl.concat(
        [frame.select("query_id", text=same_text(), train=pl.col("split") == "train") for frame in queries]
    )
    # Queries with the same text are one group; what is unsafe for one is unsafe for all.
    group = np.unique(asked["text"].to_numpy(), return_inverse=True)[1]
    finder, documents = Finder(asked["query_id"]), Numbering()
    unsafe = _Pairs()
    train = np.append(asked["train"].to_numpy(), False)
    positives, elsewhere = _read_positives(qrels, train, finder, documents)
    unsafe.add(group[positives.query], positives.document)
    has_positive = np.zeros(asked.height, dtype=bool)
    has_positive[positives.query] = True
    query_ids, number = _sort_queries(asked["query_id"], has_positive)

    kept = KeptPairs()
    for frame in ledger:
        place, document = finder.find(frame["query_id"]), documents.number(frame["doc_id"])
        rows = np.flatnonzero(frame.select(is_unsafe()).to_series().to_numpy() & (place >= 0))
        unsafe.add(group[place[rows]], document[rows])
        query = number[place]
        rows = np.flatnonzero((frame["decision"] == "kept").to_numpy() & (query >= 0))
        kept.add(query[rows], document[rows], frame["hardness"].gather(rows).fill_null(0).to_numpy())
    for place, hashes in elsewhere:  # judgements of other splits: of their documents only candidates count
        document = documents.find(hashes)
        unsafe.add(group[place[document >= 0]], document[document >= 0])

    document_ids, order = documents.sorted_ids()
    num_queries, num_documents = len(query_ids), len(document_ids)
    size = {"num_queries": num_queries, "num_documents": num_documents}
    own = Lists.of_keys(_unique(number[positives.query], order[positives.document], num_documents), **size)
    by_group = Lists.of_keys(
        unsafe.unique(order, num_documents), num_queries=int(group.max(initial=-1)) + 1, num_documents=num_documents
    )
    group_of_query = np.empty(num_queries, dtype=np.int64)
    group_of_query[number[:-1][has_positive]] = group[has_positive]
    barred = _expand(by_group, group_of_query)
    is_positive = np.zeros(num_documents, dtype=bool)
    is_positive[own.document] = True
    return LanguageTable(
        language=language,
        query_ids=shelf.ids("query_ids", query_ids),
        document_ids=shelf.ids("document_ids", document_ids),
        topic=_topics(language, query_ids, topics),
        positives=_put(shelf, "positives", own),
        kept=_put(shelf, "kept", kept.lists(barred, order, **size)),
        unsafe=_put(shelf, "unsafe", barred),
        unsafe_positives=_put(shelf, "unsafe_positives", barred.only(is_positive)),
        num_left_out=int(asked["train"].sum()) - num_queries,
    )


def count_queries(tables: Iterable[LanguageTable]) -> pl.DataFrame:
    """Count the queries of each language and topic: language, topic, num_queries; sorted."""
    counts = []
    for table in sorted(tables, key=lambda table: table.language):
        topic, num_queries = np.unique(table.topic, return_counts=True)
        counts.append(pl.DataFrame({"topic": topic.astype(np.int32), "num_queries": num_queries.astype(np.int64)}))
        counts[-1].insert_column(0, pl.lit(table.language).alias("language"))
    return pl.concat(counts)


def shortfalls(tables: Iterable[LanguageTable], *, num_negatives: int) -> list[str]:
    """Say which languages have train queries without a positive, or with fewer negatives than a slot takes."""
    lines = []
    for table in tables:
        if table.num_left_out:
            lines.append(f"{table.language}: {table.num_left_out} train queries without a positive left out")
        if num_short := int((table.kept.length < num_negatives).sum()):
            lines.append(
                f"{table.language}: {num_short} train queries have fewer than {num_negatives} hard negatives; random "
                "documents fill them up"
            )
    return lines


class _Pairs:
    """Pairs of query (or group) and document number, added by and by."""

    def __init__(self) -> None:
        self._query: list[np.ndarray] = [np.empty(0, dtype=np.int32)]
        self._document: list[np.ndarray] = [np.empty(0, dtype=np.int32)]

    def add(self, query: np.ndarray, document: np.ndarray) -> None:
        self._query.append(query.astype(np.int32))
        self._document.append(document)

    @property
    def query(self) -> np.ndarray:
        return np.concatenate(self._query)

    @property
    def document(self) -> np.ndarray:
        return np.concatenate(self._document)

    def unique(self, order: np.ndarray, num_documents: int) -> np.ndarray:
        return _unique(self.query, order[self.document], num_documents)


def _unique(query: np.ndarray, document: np.ndarray, num_documents: int) -> np.ndarray:
    """Return pairs as query * num_documents + document, each once, ascending."""
    keys = np.sort(query.astype(np.int64) * num_documents + document)
    return keys[np.concatenate([[True], keys[1:] != keys[:-1]])] if keys.size else keys


def _read_positives(
    qrels: Iterable[pl.DataFrame], train: np.ndarray, finder: Finder, documents: Numbering
) -> tuple[_Pairs, list[tuple[np.ndarray, np.ndarray]]]:
    """Read the relevant pairs: those of train queries numbered, the others as (query's place, document's hash)."""
    positives, elsewhere = _Pairs(), []
    for frame in qrels:
        relevant = frame.filter(is_judged_relevant())
        place = finder.find(relevant["query_id"])
        is_train = train[place]  # the last entry, for unknown queries, is false
        positives.add(place[is_train], documents.number(relevant["doc_id"].filter(pl.Series(is_train))))
        others = (place >= 0) & ~train[place]
        elsewhere.append((place[others], hash_ids(relevant["doc_id"].filter(pl.Series(others)))))
    return positives, elsewhere


def _sort_queries(ids: pl.Series, wanted: np.ndarray) -> tuple[pl.Series, np.ndarray]:
    """Sort the wanted ids; returns them, and for each of all ids (and for place -1) its place among them or -1."""
    places = np.flatnonzero(wanted)
    order = ids.gather(places).arg_sort().to_numpy()
    number = np.full(len(ids) + 1, -1, dtype=np.int32)
    number[places[order]] = np.arange(places.size, dtype=np.int32)
    return ids.gather(places[order]), number


def _topics(language: str, query_ids: pl.Series, topics: pl.DataFrame) -> np.ndarray:
    known = query_ids.alias("query_id").to_frame().join(topics, on="query_id", how="left", maintain_order="left")
    if missing := known.filter(pl.col("topic").is_null())["query_id"].to_list():
        raise ValueError(
            f"plan_batches: expected a topic for every train query of '{language}', got none for {len(missing)}, the "
            f"first '{missing[0]}'. Build topics from the same queries and qrels."
        )
    return np.asarray(known["topic"].to_numpy().astype(np.int32))


def _expand(by_group: Lists, group: np.ndarray) -> Lists:
    """Give each query its group's list."""
    length = by_group.length[group]
    return Lists(np.concatenate([[0], np.cumsum(length)]), by_group.of(group)[1])


def _put(shelf: Shelf, name: str, lists: Lists) -> Lists:
    return Lists(shelf.array(f"{name}-start", lists.start), shelf.array(f"{name}-document", lists.document))
