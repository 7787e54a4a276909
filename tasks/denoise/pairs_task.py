"""What the steps that read pairs of texts share: a shard of queries at a time, and no pair of texts computed twice."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import polars as pl

from storage import DatasetRef, read, scan
from tasks.denoise.pairs import PAIR, documents_of, pairs_to_score, train_queries, with_texts
from tasks.engine.job import Job
from tasks.engine.known import Known

_SHARD_QUERIES = 256  # a killed run loses one shard at most


class Compute(Protocol):
    """Makes the rows of pairs, in any order."""

    def __call__(self, pairs: pl.DataFrame, progress: Callable[[int], None]) -> pl.DataFrame:
        """Take query_id, doc_id, query, document, and what is told how many of them are newly done."""


@dataclass(frozen=True)
class PairTexts:
    """Where pairs and their texts come from."""

    candidates: DatasetRef
    queries: DatasetRef
    qrels: DatasetRef
    corpus: DatasetRef
    text: str
    known: DatasetRef | None
    """What was computed of earlier candidates: its pairs are left out."""
    with_references: bool = False
    """The query's relevant documents are told beside each pair."""

    def shards(self) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """Yield the train queries, some at a time, and all their pairs, sorted."""
        queries = train_queries(scan(self.queries))
        if self.known is None:
            pairs = pairs_to_score(read(self.candidates), read(self.qrels), queries["query_id"])
        else:
            known = read(self.known)
            pairs = read(self.candidates).select(PAIR).join(known, on=PAIR, how="anti").unique().sort(PAIR)
        for start in range(0, len(queries), _SHARD_QUERIES):
            asked = queries.slice(start, _SHARD_QUERIES)
            yield asked, pairs.join(asked, on="query_id", how="semi", maintain_order="left")

    def fill(self, pairs: pl.DataFrame, queries: pl.DataFrame) -> pl.DataFrame:
        """Add query and document, and references (a list of texts, null where there is none) where they are wanted."""
        table = self._texts(pairs, queries)
        if not self.with_references:
            return table
        relevant = read(self.qrels).filter(pl.col("relevance") > 0).select(PAIR)
        relevant = relevant.join(pairs, on="query_id", how="semi", maintain_order="left")
        references = self._texts(relevant, queries).group_by("query_id", maintain_order=True).agg(references="document")
        return table.join(references, on="query_id", how="left", maintain_order="left")

    def _texts(self, pairs: pl.DataFrame, queries: pl.DataFrame) -> pl.DataFrame:
        corpus = scan(self.corpus) if len(pairs) else scan(self.corpus).head(0)
        return with_texts(pairs, queries, documents_of(corpus, pairs, text=self.text))


def write_rows(job: Job, given: PairTexts, *, schema: pl.Schema, compute: Compute) -> None:
    """Write a row for every candidate and judged document of the train queries; of later candidates, for the new ones.

    What an earlier dataset holds of the same texts, whichever candidates there were then, is not computed again.

    Args:
        job: the build's.
        given: the pairs.
        schema: of the rows.
        compute: loads its model when it is first called; is not called for nothing.
    """
    shards = list(given.shards())
    missing = job.out.missing(len(shards))

    def earlier_shards(inputs: Mapping[str, Any]) -> Iterator[pl.DataFrame]:
        then = replace(given, **inputs)
        return (then.fill(pairs, asked) for asked, pairs in then.shards())

    texts = ["query", "document", *(["references"] if given.with_references else [])]
    known = Known(job.earlier if missing else None, earlier_shards, log=job.log, ids=PAIR, texts=texts)
    with job.bar(sum(len(pairs) for _, pairs in shards), "pairs") as advance:
        for shard, (asked, pairs) in enumerate(shards):
            if shard not in missing:
                advance(len(pairs))
                continue
            split = known.split(given.fill(pairs, asked))
            advance(split.taken)
            computed = compute(split.new, advance).sort(PAIR) if len(split.new) else pl.DataFrame(schema=schema)
            job.out.write(split.joined(computed.select(schema.names())), shard=shard, taken=split.taken)
