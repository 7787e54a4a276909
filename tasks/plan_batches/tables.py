"""One language's queries, positives and negatives as integer tables, so that millions of slots can be planned.

Queries and documents are numbered in the order of their sorted ids: numbers don't depend on row order.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from tasks.groups import separable_size
from tasks.models.texts import document_text, find_echoes, same_text

HARMLESS_REASONS = ("beyond_num_negatives",)  # dropped, but not for what it is


@dataclass(frozen=True)
class Lists:
    """A list of documents per query, end to end."""

    start: np.ndarray
    """Where a query's list begins, int64, one more than there are queries."""
    document: np.ndarray
    """Document numbers, int32."""

    @classmethod
    def of_pairs(cls, pairs: pl.DataFrame, num_queries: int) -> "Lists":
        """Make lists of rows of numbers (query, document), sorted by query."""
        start = np.searchsorted(pairs["query"].to_numpy(), np.arange(num_queries + 1))
        return cls(start, pairs["document"].to_numpy().astype(np.int32))

    def __getitem__(self, query: int) -> np.ndarray:
        """Return one query's documents."""
        return self.document[self.start[query] : self.start[query + 1]]

    @property
    def length(self) -> np.ndarray:
        """Documents per query."""
        return np.diff(self.start)

    def of(self, query: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Join the lists of some queries: (position in `query`, document), in order."""
        first = self.start[query]
        length = self.start[query + 1] - first
        owner = np.repeat(np.arange(query.size), length)
        before = np.cumsum(length) - length
        return owner, self.document[np.arange(owner.size) + np.repeat(first - before, length)]

    def only(self, mask: np.ndarray) -> "Lists":
        """Keep the documents that a boolean mask over document numbers names."""
        keep = mask[self.document]
        num_kept = np.concatenate([[0], np.cumsum(keep)])
        return Lists(num_kept[self.start], self.document[keep])


@dataclass(frozen=True)
class LanguageTable:
    """What planning needs to know about one language."""

    language: str
    query_ids: pl.Series
    """Ids of the train queries that have a positive, sorted."""
    document_ids: pl.Series
    """Ids of all candidates and positives, sorted: the pool that short lists of negatives are filled from."""
    identity: np.ndarray
    """Per document the number of the first one with the same text, int32: copies count as one document."""
    topic: np.ndarray
    """Topic of each query."""
    positives: Lists
    """Documents judged relevant."""
    hard_negatives: Lists
    """Hard negatives that the ledger kept, the hardest first."""
    unsafe: Lists
    """Identities of documents that must not be among the query's in-batch negatives, its positives included."""
    unsafe_positives: Lists
    """Those of `unsafe` that are some query's positive, or a copy of one."""
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

    def separable_size(self) -> int:
        """Return the largest size of batches in which all positives may be kept apart, going by the counts alone."""

        def pairs(lists: Lists) -> pl.DataFrame:
            query, document = lists.of(np.arange(self.num_queries))
            return pl.DataFrame({"query": query, "document": self.identity[document]})

        return separable_size(pairs(self.positives), pairs(self.unsafe))


def build_table(
    language: str,
    *,
    queries: pl.LazyFrame,
    qrels: pl.LazyFrame,
    ledger: pl.LazyFrame,
    topics: pl.DataFrame,
    documents: pl.LazyFrame,
    text: str = "title_and_text",
    ignore_own_document: bool = False,
) -> LanguageTable:
    """Number one language's train queries and documents.

    A document is unsafe for a query if it is judged relevant, if the ledger dropped it with a grade of 1 or 2 or for
    what it is, if it says no more than the query, or if it is a copy of such a document. Queries with the same text
    share what is known.

    Args:
        language: its code.
        queries: its train queries: query_id, text.
        qrels: their judgements: query_id, doc_id, relevance; those of other queries count for nothing.
        ledger: its hard_negatives: query_id, doc_id, decision, reason, grade, hardness.
        topics: topics of at least those that have a positive: query_id, topic.
        documents: doc_id, title, text of those that judgements and ledger name; one that is not there has no copy.
        text: what of a document is read, see `document_text`.
        ignore_own_document: a document with the query's id is unsafe too, whatever it says.

    Raises:
        ValueError: a train query with a positive has no topic.
    """
    texts, relevant, candidates = _collected(queries, qrels, ledger)
    positives = relevant.join(texts, on="query_id", how="semi")
    query_ids = positives["query_id"].unique().sort()
    document_ids = pl.concat([positives["doc_id"], candidates["doc_id"]]).unique().sort()
    query = query_ids.to_frame().with_row_index("query")
    documents = documents.join(document_ids.to_frame().lazy(), on="doc_id", how="semi")
    own = texts.select("query_id", doc_id="query_id").filter(ignore_own_document)
    echoes = pl.concat([find_echoes(queries, documents), own])
    numbered = _number_documents(document_ids, documents.select("doc_id", text=document_text(text)))
    relevant, candidates, echoes = (
        pairs.join(numbered, on="doc_id").drop("doc_id") for pairs in (relevant, candidates, echoes)
    )

    unsafe = _unsafe_documents([relevant, candidates.filter("unsafe"), echoes], texts)
    unsafe = unsafe.join(query, on="query_id").select("query", "identity")
    positives = relevant.join(query, on="query_id").select("query", "document", "identity").unique()
    is_positive = np.isin(np.arange(len(document_ids)), positives["identity"].to_numpy())
    unsafe_lists = Lists.of_pairs(unsafe.rename({"identity": "document"}).sort("query", "document"), len(query_ids))
    return LanguageTable(
        language=language,
        query_ids=query_ids,
        document_ids=document_ids,
        identity=numbered["identity"].to_numpy().astype(np.int32),
        topic=_topics(language, query_ids, topics),
        positives=Lists.of_pairs(positives.sort("query", "document"), len(query_ids)),
        hard_negatives=Lists.of_pairs(_hard_negatives(candidates, query, unsafe), len(query_ids)),
        unsafe=unsafe_lists,
        unsafe_positives=unsafe_lists.only(is_positive),
        num_left_out=texts.height - len(query_ids),
    )


def _collected(
    queries: pl.LazyFrame, qrels: pl.LazyFrame, ledger: pl.LazyFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Read what the queries say (query_id, text), what is relevant (query_id, doc_id) and the ledger's candidates."""
    texts = queries.select("query_id", text=same_text("text"))
    relevant = qrels.filter(pl.col("relevance") > 0).select("query_id", "doc_id")
    kept, unsafe = pl.col("decision") == "kept", _is_unsafe()
    candidates = ledger.select("query_id", "doc_id", "hardness", kept=kept, unsafe=unsafe)
    return texts.collect(), relevant.collect(), candidates.collect()


def _hard_negatives(candidates: pl.DataFrame, query: pl.DataFrame, unsafe: pl.DataFrame) -> pl.DataFrame:
    return (
        candidates.filter("kept")
        .join(query, on="query_id")
        .join(unsafe, on=["query", "identity"], how="anti")  # another query of the same text may know more of it
        .sort("query", pl.col("hardness").fill_null(0), "document")
        .filter(pl.col("document").is_first_distinct().over("query"))
    )


def _unsafe_documents(suspects: list[pl.DataFrame], texts: pl.DataFrame) -> pl.DataFrame:
    """Return query_id, identity of what is relevant or unsafe to any query of the same text."""
    suspect = pl.concat([pairs.select("query_id", "identity") for pairs in suspects])
    by_text = suspect.join(texts, on="query_id").select("text", "identity").unique()
    return texts.join(by_text, on="text")


def count_queries(tables: Iterable[LanguageTable]) -> pl.DataFrame:
    """Count the queries of each language and topic: language, topic, num_queries; sorted."""
    queries = [pl.DataFrame({"language": table.language, "topic": table.topic}) for table in tables]
    counts = pl.concat(queries).group_by("language", "topic").agg(num_queries=pl.len().cast(pl.Int64))
    return counts.sort("language", "topic")


def shortfalls(tables: Iterable[LanguageTable], *, num_negatives: int) -> list[str]:
    """Say which languages have train queries without a positive, or with fewer negatives than a slot takes."""
    lines = []
    for table in tables:
        if table.num_left_out:
            lines.append(f"{table.language}: {table.num_left_out} train queries without a positive left out")
        if num_short := int((table.hard_negatives.length < num_negatives).sum()):
            short = f"{num_short} train queries have fewer than {num_negatives} hard negatives"
            lines.append(f"{table.language}: {short}; random documents fill them up")
    return lines


def _is_unsafe() -> pl.Expr:
    """Say of a ledger's row whether its document is, or may well be, relevant to its query.

    A verdict that could not be read is a reason to drop like any other, whatever the strategy.
    """
    suspect = ~pl.col("reason").is_in(HARMLESS_REASONS) | (pl.col("grade") > 0)
    return ((pl.col("decision") != "kept") & suspect).fill_null(False)


def _number_documents(document_ids: pl.Series, documents: pl.LazyFrame) -> pl.DataFrame:
    """Return doc_id, document (its place among the ids), identity (the place of the first one with its text)."""
    numbered = document_ids.to_frame().with_row_index("document")
    text = same_text("text").hash()  # a number is enough to tell a million texts apart
    texts = documents.select("doc_id", text).unique("doc_id")
    first = pl.col("document").min().over("text")
    identity = pl.when(pl.col("text").is_null()).then("document").otherwise(first).alias("identity")
    found = texts.collect(engine="streaming")  # no more of the corpus in memory than the numbers
    return numbered.join(found, on="doc_id", how="left", maintain_order="left").select("doc_id", "document", identity)


def _topics(language: str, query_ids: pl.Series, topics: pl.DataFrame) -> np.ndarray:
    topic = query_ids.to_frame().join(topics, on="query_id", how="left", maintain_order="left")
    if missing := topic.filter(pl.col("topic").is_null())["query_id"].to_list():
        raise ValueError(
            f"plan_batches: expected a topic for every train query of '{language}', got none for {len(missing)}, the "
            f"first '{missing[0]}'. Build topics from the same queries and qrels."
        )
    return np.asarray(topic["topic"].to_numpy().astype(np.int32))
