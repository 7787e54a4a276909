"""One language's queries, positives and negatives as integer tables, so that millions of slots can be planned.

The datasets come in frames of bounded size; what stays is four bytes per kept negative and unsafe document, and each id
once. Queries and documents are numbered in the order of their sorted ids: numbers don't depend on row order.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from tasks.plan_batches.lists import Lists
from tasks.plan_batches.pairs import Pairs, gather_pairs
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
    gathered = gather_pairs(queries=queries, qrels=qrels, ledger=ledger)
    document_ids, order = gathered.documents.sorted_ids()
    query_ids = gathered.query_ids
    size = {"num_queries": len(query_ids), "num_documents": len(document_ids)}
    positives = _list(gathered.positives, order, **size)
    by_group = _list(gathered.unsafe, order, num_queries=gathered.num_groups, num_documents=len(document_ids))
    unsafe = _expand(by_group, gathered.group)
    is_positive = np.zeros(len(document_ids), dtype=bool)
    is_positive[positives.document] = True
    return LanguageTable(
        language=language,
        query_ids=shelf.ids("query_ids", query_ids),
        document_ids=shelf.ids("document_ids", document_ids),
        topic=_topics(language, query_ids, topics),
        positives=_put(shelf, "positives", positives),
        kept=_put(shelf, "kept", gathered.kept.lists(unsafe, order, **size)),
        unsafe=_put(shelf, "unsafe", unsafe),
        unsafe_positives=_put(shelf, "unsafe_positives", unsafe.only(is_positive)),
        num_left_out=gathered.num_left_out,
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


def _list(pairs: Pairs, order: np.ndarray, *, num_queries: int, num_documents: int) -> Lists:
    """List each query's documents, each once, by number."""
    keys = np.sort(pairs.query.astype(np.int64) * num_documents + order[pairs.document])
    if keys.size:
        keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
    return Lists.of_keys(keys, num_queries=num_queries, num_documents=num_documents)


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
