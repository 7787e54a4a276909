"""Queries, judgements and ledgers written as Python values, for tests of the batch plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from hypothesis import strategies as st
from support.plan_oracle import Known

from tasks.plan_batches.tables import LanguageTable, build_table

LEDGER = {
    "query_id": pl.String,
    "doc_id": pl.String,
    "decision": pl.String,
    "reason": pl.String,
    "grade": pl.Int32,
    "hardness": pl.Int32,
}


def queries_frame(ids: Sequence[str], *, split: str = "train", texts: Sequence[str] | None = None) -> pl.DataFrame:
    columns = {"query_id": list(ids), "text": list(texts or ids), "split": [split] * len(ids)}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def qrels_frame(judged: Mapping[str, Sequence[str]], *, relevance: int = 1) -> pl.DataFrame:
    rows = [(query, doc, relevance) for query, docs in judged.items() for doc in docs]
    return pl.DataFrame(rows, schema={"query_id": pl.String, "doc_id": pl.String, "relevance": pl.Int32}, orient="row")


def ledger_frame(kept: Mapping[str, Sequence[str]], dropped: Mapping[str, Sequence[str]] | None = None) -> pl.DataFrame:
    """Kept documents come hardest first; dropped ones have grade 2."""
    rows: list[tuple[str, str, str, str, int, int | None]] = []
    for query, docs in kept.items():
        rows += [(query, doc, "kept", "safe", 0, rank) for rank, doc in enumerate(docs, start=1)]
    for query, docs in (dropped or {}).items():
        rows += [(query, doc, "dropped", "grade_above_max", 2, None) for doc in docs]
    return pl.DataFrame(rows, schema=LEDGER, orient="row")


def topics_frame(topic: Mapping[str, int]) -> pl.DataFrame:
    return pl.DataFrame(
        {"query_id": list(topic), "topic": list(topic.values())}, schema={"query_id": pl.String, "topic": pl.Int32}
    )


def table_of(
    name: str,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    ledger: pl.DataFrame,
    topics: pl.DataFrame,
    documents: Mapping[str, str] | None = None,
) -> LanguageTable:
    """Build a table from whole frames, and of the texts of such documents as may have copies or say a query."""
    texts = pl.DataFrame(
        {"doc_id": list(documents or {}), "text": list((documents or {}).values())},
        schema={"doc_id": pl.String, "text": pl.String},
    ).with_columns(title=pl.lit(""))
    frames = {"queries": queries.lazy(), "qrels": qrels.lazy(), "ledger": ledger.lazy(), "documents": texts.lazy()}
    return build_table(name, topics=topics, **frames)


@dataclass(frozen=True)
class Language:
    """One language's data as the planner and its check take them."""

    name: str
    positives: Mapping[str, Sequence[str]]
    kept: Mapping[str, Sequence[str]]
    dropped: Mapping[str, Sequence[str]]
    topic: Mapping[str, int]
    text: Mapping[str, str] = field(default_factory=dict)
    """Of the queries whose text is not their id."""
    documents: Mapping[str, str] = field(default_factory=dict)
    """Texts of such documents as may have copies."""

    @property
    def queries(self) -> pl.DataFrame:
        return queries_frame(list(self.positives), texts=[self.text.get(query, query) for query in self.positives])

    @property
    def qrels(self) -> pl.DataFrame:
        return qrels_frame(self.positives)

    @property
    def ledger(self) -> pl.DataFrame:
        return ledger_frame(self.kept, self.dropped)

    @property
    def table(self) -> LanguageTable:
        return table_of(self.name, self.queries, self.qrels, self.ledger, topics_frame(self.topic), self.documents)

    @property
    def known(self) -> Known:
        return Known(self.queries, self.qrels, self.ledger, self.documents)

    def shuffled(self, seed: int) -> LanguageTable:
        """The same table from rows in another order."""
        frames = (self.queries, self.qrels, self.ledger, topics_frame(self.topic))
        shuffled = (frame.sample(fraction=1.0, shuffle=True, seed=seed) for frame in frames)
        return table_of(self.name, *shuffled, documents=dict(reversed(self.documents.items())))

    @property
    def unsafe(self) -> dict[str, set[str]]:
        """What each query, or one with the same text, must not see as a negative."""
        return self.known.unsafe


def plain_language(name: str, num_queries: int, *, num_kept: int = 10, num_topics: int = 3) -> Language:
    """A language without any conflict: every query has documents of its own."""
    queries = [f"{name}{number:03}" for number in range(num_queries)]
    return Language(
        name,
        positives={query: [f"{query}+"] for query in queries},
        kept={query: [f"{query}-{number}" for number in range(num_kept)] for query in queries},
        dropped={},
        topic={query: number % num_topics for number, query in enumerate(queries)},
    )


@st.composite
def languages(draw: st.DrawFn, name: str) -> Language:
    """A small language whose queries share positives, candidates, likely relevant documents and, some, their text.

    Some documents are copies of others, and some say what a query says.
    """
    num_queries, num_documents = draw(st.integers(4, 30)), draw(st.integers(20, 80))
    most_positives, most_dropped = draw(st.integers(1, 3)), draw(st.integers(0, 3))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    documents = [f"d{number:02}" for number in range(num_documents)]
    positives, kept, dropped, topic, text = {}, {}, {}, {}, {}
    for number in range(num_queries):
        query, lot = f"q{number:02}", rng.permutation(documents).tolist()
        first, second, last = np.cumsum([rng.integers(1, most_positives + 1), rng.integers(most_dropped + 1), 8])
        positives[query], dropped[query] = lot[:first], lot[first:second]
        kept[query] = lot[second : last - int(rng.integers(6))]
        topic[query] = int(rng.integers(4))
        text[query] = f"text {rng.integers(4 * num_queries)}"
    copies = draw(st.integers(1, 3)) * num_documents  # the more texts there may be, the fewer are the same
    texts = {document: f"{['A', 'a ', ' ａ'][rng.integers(3)]} {rng.integers(copies)}" for document in documents}
    for document in documents[:: draw(st.sampled_from([5, 20]))]:
        texts[document] = f"TEXT  {rng.integers(4 * num_queries)}"
    return Language(name, positives, kept, dropped, topic, text, texts)
