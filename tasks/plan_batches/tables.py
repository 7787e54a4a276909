"""One language's queries, positives and negatives as integer tables, so that millions of slots can be planned.

Queries and documents are numbered in the order of their sorted ids: numbers don't depend on row order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from tasks.plan_batches.safety import kept_pairs, unsafe_pairs


@dataclass(frozen=True)
class Lists:
    """A list of documents per query, end to end."""

    start: np.ndarray
    """Where a query's list begins, int64, one more than there are queries."""
    document: np.ndarray
    """Document numbers, int64."""

    @property
    def length(self) -> np.ndarray:
        """Documents per query."""
        return np.diff(self.start)

    def of(self, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Join the lists of some queries: (position in `query`, document), in order."""
        length = self.length[query]
        owner = np.repeat(np.arange(query.size), length)
        before = np.cumsum(length) - length
        return owner, self.document[np.arange(owner.size) + np.repeat(self.start[query] - before, length)]

    def only(self, wanted: np.ndarray) -> "Lists":
        """Keep the documents that a boolean mask over document numbers wants."""
        keep = wanted[self.document]
        passed = np.concatenate([[0], np.cumsum(keep)])
        return Lists(passed[self.start], self.document[keep])


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

    @property
    def num_queries(self) -> int:
        """Train queries with a positive."""
        return len(self.query_ids)

    @property
    def num_documents(self) -> int:
        """Documents in the pool."""
        return len(self.document_ids)


def build_table(
    language: str, queries: pl.DataFrame, qrels: pl.DataFrame, ledger: pl.DataFrame, topics: pl.DataFrame
) -> LanguageTable:
    """Number one language's train queries and documents.

    Args:
        language: its code.
        queries: its queries of all splits: query_id, text, split.
        qrels: all of its judgements: query_id, doc_id, relevance.
        ledger: its hard_negatives: query_id, doc_id, decision, reason, grade, hardness.
        topics: topics of at least its train queries: query_id, topic.

    Returns:
        The table. A train query without a positive is left out: there is nothing to train it on.

    Raises:
        ValueError: a train query with a positive has no topic.
    """
    train = queries.filter(pl.col("split") == "train").select("query_id")
    positives = (
        qrels.filter(pl.col("relevance") > 0)
        .join(train, on="query_id", how="semi")
        .select("query_id", "doc_id")
        .unique()
    )
    known = positives.select("query_id").unique().join(topics, on="query_id", how="left").sort("query_id")
    if missing := known.filter(pl.col("topic").is_null())["query_id"].to_list():
        raise ValueError(
            f"plan_batches: expected a topic for every train query of '{language}', got none for {len(missing)}, the "
            f"first '{missing[0]}'. Build topics from the same queries and qrels."
        )
    unsafe = unsafe_pairs(queries, qrels, ledger)
    kept = kept_pairs(ledger, unsafe)
    documents = pl.concat([positives["doc_id"], ledger["doc_id"]]).unique().sort()
    number = _Numbering(known["query_id"], documents)
    listed = {
        "positives": number.lists(positives.sort("query_id", "doc_id")),
        "kept": number.lists(kept),
        "unsafe": number.lists(unsafe),
    }
    is_positive = np.zeros(len(documents), dtype=bool)
    is_positive[listed["positives"].document] = True
    return LanguageTable(
        language=language,
        query_ids=known["query_id"],
        document_ids=documents,
        topic=known["topic"].to_numpy().astype(np.int64),
        unsafe_positives=listed["unsafe"].only(is_positive),
        **listed,
    )


def count_queries(tables: Iterable[LanguageTable]) -> pl.DataFrame:
    """Count the queries of each language and topic: language, topic, num_queries; sorted."""
    counts = []
    for table in sorted(tables, key=lambda table: table.language):
        topic, num_queries = np.unique(table.topic, return_counts=True)
        counts.append(pl.DataFrame({"topic": topic.astype(np.int32), "num_queries": num_queries.astype(np.int64)}))
        counts[-1].insert_column(0, pl.lit(table.language).alias("language"))
    return pl.concat(counts)


def shortfalls(
    tables: Iterable[LanguageTable], queries: Mapping[str, pl.DataFrame], *, num_negatives: int
) -> list[str]:
    """Say which languages have train queries without a positive, or with fewer negatives than a slot takes."""
    lines = []
    for table in tables:
        num_train = queries[table.language].filter(pl.col("split") == "train").height
        if num_train > table.num_queries:
            lines.append(f"{table.language}: {num_train - table.num_queries} train queries without a positive left out")
        if num_short := int((table.kept.length < num_negatives).sum()):
            lines.append(
                f"{table.language}: {num_short} train queries have fewer than {num_negatives} hard negatives; random "
                "documents fill them up"
            )
    return lines


class _Numbering:
    def __init__(self, query_ids: pl.Series, document_ids: pl.Series) -> None:
        self._num_queries = len(query_ids)
        self._query = pl.DataFrame({"query_id": query_ids}).with_row_index("query")
        self._document = pl.DataFrame({"doc_id": document_ids}).with_row_index("document")

    def lists(self, pairs: pl.DataFrame) -> Lists:
        """Number pairs that come query by query; pairs with an unknown query or document are left out."""
        numbered = pairs.join(self._query, on="query_id", maintain_order="left").join(
            self._document, on="doc_id", maintain_order="left"
        )
        query = numbered["query"].to_numpy().astype(np.int64)
        start = np.searchsorted(query, np.arange(self._num_queries + 1))
        return Lists(start.astype(np.int64), numbered["document"].to_numpy().astype(np.int64))
