"""Corpus, queries -> embeddings."""

import functools
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping

import polars as pl

from storage import DatasetRef, count, folder, iter_parts, scan
from tasks.engine.job import Job
from tasks.engine.known import Known, Split
from tasks.models import encoder as encoders
from tasks.models import texts
from tasks.models.layout import Role
from tasks.retrieve import embed
from tasks.retrieve.config import QUERIES_AT_ONCE
from tasks.retrieve.vectors import split_shards


def embed_documents(
    job: Job,
    *,
    corpus: DatasetRef,
    encoder: DatasetRef,
    max_tokens: int,
    text: str,
    shard_size: int,
    dtype: str = "float32",
) -> None:
    """Embed the corpus, shard by shard; a killed run goes on with the first shard that is missing."""
    chosen = [pl.col("doc_id").alias("id"), texts.document_text(text).alias("text")]

    def shards_of(given: Mapping[str, DatasetRef]) -> Iterator[pl.DataFrame]:
        return (shard.select(chosen) for shard in split_shards(iter_parts(given["corpus"]), shard_size))

    num_shards = math.ceil(count(corpus) / shard_size)
    network = functools.partial(encoders.shared_encoder, folder(encoder) / "model", job.device, dtype)
    _embed(job, shards_of, {"corpus": corpus}, num_shards, network, role="document", max_tokens=max_tokens)


def embed_queries(
    job: Job,
    *,
    queries: DatasetRef,
    encoder: DatasetRef,
    max_tokens: int,
    dtype: str = "float32",
) -> None:
    """Embed queries."""

    def shards_of(given: Mapping[str, DatasetRef]) -> Iterator[pl.DataFrame]:
        asked = _queries(given["queries"]).rename({"query_id": "id"})
        batches = range(max(1, math.ceil(asked.height / QUERIES_AT_ONCE)))
        return (asked.slice(number * QUERIES_AT_ONCE, QUERIES_AT_ONCE) for number in batches)

    num_shards = max(1, math.ceil(count(queries) / QUERIES_AT_ONCE))
    network = functools.partial(encoders.shared_encoder, folder(encoder) / "model", job.device, dtype)
    _embed(job, shards_of, {"queries": queries}, num_shards, network, role="query", max_tokens=max_tokens)


def _embed(
    job: Job,
    shards_of: Callable[[Mapping[str, DatasetRef]], Iterator[pl.DataFrame]],
    given: Mapping[str, DatasetRef],
    num_shards: int,
    open_encoder: Callable[[], encoders.Encoder],
    *,
    role: Role,
    max_tokens: int,
) -> None:
    """Embed the shards that are missing, but for the texts that an earlier dataset has the vectors of."""
    missing = set(job.out.missing(num_shards))
    if not missing:
        return
    known = Known(job.earlier, shards_of, log=job.log)
    splits: deque[Split] = deque()  # of shards that are read but not embedded
    (source,) = given.values()
    with job.bar(count(source), "documents" if role == "document" else "queries") as advance:

        def new_texts() -> Iterator[pl.DataFrame]:
            for number, shard in enumerate(shards_of(given)):
                if number in missing:
                    splits.append(known.split(shard))
                    advance(splits[-1].taken)
                    yield splits[-1].new
                else:
                    advance(shard.height)

        embedded = embed.embed_shards(
            new_texts(),
            encoder=open_encoder(),
            role=role,
            max_tokens=max_tokens,
            batch_tokens=job.batch_tokens,
            progress=advance,
        )
        for number, vectors in zip(sorted(missing), embedded, strict=True):
            split = splits.popleft()
            job.out.write(split.joined(vectors), shard=number, taken=split.taken)


def _queries(queries: DatasetRef) -> pl.DataFrame:
    return scan(queries).select("query_id", "text").sort("query_id").collect()
