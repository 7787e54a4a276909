"""What the steps that read pairs of texts share: a shard of queries at a time, and later candidates computed once."""

import functools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from storage import DatasetRef, Journal, open_journal, read, scan
from tasks.denoise.computed_once import compute_once
from tasks.denoise.pairs import PAIR, documents_of, pairs_to_score, train_queries, with_texts
from tasks.engine.job import Job

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

    def fill(self, pairs: pl.DataFrame, queries: pl.DataFrame) -> pl.DataFrame:
        """Add query and document."""
        return with_texts(pairs, queries, documents_of(scan(self.corpus), pairs, text=self.text))


def write_rows(job: Job, given: PairTexts, *, identity: str, schema: pl.Schema, compute: Compute) -> None:
    """Write a row for every candidate and judged document of the train queries.

    Of later candidates (where there is `known`) those that are not known yet; what the store's journal holds of them,
    whichever candidates there were then, is not computed again.

    Args:
        job: the build's.
        given: the pairs.
        identity: of what computes, with everything that changes a row.
        schema: of the rows.
        compute: loads its model when it is first called.
    """
    queries = train_queries(scan(given.queries))
    if given.known is None:
        pairs = pairs_to_score(read(given.candidates), read(given.qrels), queries["query_id"])
    else:
        pairs = read(given.candidates).select(PAIR).join(read(given.known), on=PAIR, how="anti").unique().sort(PAIR)
    num_shards = math.ceil(len(queries) / _SHARD_QUERIES)
    missing = job.out.missing(num_shards)
    with _journal(job, given) as journal, job.bar(len(pairs), "pairs") as advance:
        for shard in range(num_shards):
            asked = queries.slice(shard * _SHARD_QUERIES, _SHARD_QUERIES)
            of_shard = pairs.join(asked, on="query_id", how="semi")
            if shard not in missing or of_shard.is_empty():
                advance(len(of_shard))
                rows = pl.DataFrame(schema=schema)
            elif journal is None:
                rows = compute(given.fill(of_shard, asked), advance)
            else:
                filled, todo = given.fill(of_shard, asked), functools.partial(compute, progress=advance)
                rows = compute_once(filled, journal, identity=identity, schema=schema, compute=todo)
            if shard in missing:
                job.out.write(rows.select(schema.names()), shard=shard)


def _journal(job: Job, given: PairTexts) -> AbstractContextManager[Journal | None]:
    if given.known is None:
        return nullcontext()
    return open_journal(job.out.ref.root, f"{job.out.ref.kind}-{job.out.ref.partition}")
