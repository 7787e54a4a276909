"""Candidates of several systems -> fused candidates."""

import math
from collections.abc import Iterator

import polars as pl

from storage import DatasetRef, count, iter_parts, load, scan
from tasks.engine.job import Job
from tasks.retrieve import concatenate, fuse, products
from tasks.retrieve.config import QUERIES_AT_ONCE, FuseConfig
from tasks.retrieve.search import without_own_documents
from tasks.retrieve.vectors import split_shards


def fuse_candidates(job: Job, *, candidates: list[DatasetRef], config: FuseConfig) -> None:
    """Fuse what the systems found for the same queries."""
    found = pl.concat([scan(system) for system in candidates]).collect()
    job.out.write(
        fuse.fuse_candidates(
            found, method=config.method, standardise=config.standardise, weights=config.weights, top_k=config.top_k
        )
    )


def fuse_vectors(
    job: Job,
    *,
    candidates: list[DatasetRef],
    documents: dict[str, DatasetRef],
    vectors: dict[str, DatasetRef],
    queries: DatasetRef,
    config: FuseConfig,
    ignore_own_document: bool = False,
) -> None:
    """Fuse the systems exactly: search all encoders' vectors put together."""
    asked = scan(queries).select("query_id").sort("query_id").collect()
    num_batches = math.ceil(asked.height / QUERIES_AT_ONCE)
    missing = set(job.out.missing(num_batches))
    found = (part for system in candidates for part in iter_parts(system))
    moments = fuse.language_moments(found if config.standardise == "language" else ())
    num_documents = count(next(iter(documents.values())))
    with job.bar(num_documents * num_batches, "documents") as advance:
        advance(num_documents * (num_batches - len(missing)))
        for number in sorted(missing):
            batch = asked.slice(number * QUERIES_AT_ONCE, QUERIES_AT_ONCE).lazy()
            fused = concatenate.concatenate_encoders(
                lambda: _side_by_side(documents),
                {
                    system: scan(ref).join(batch, left_on="id", right_on="query_id", how="semi").collect()
                    for system, ref in vectors.items()
                },
                pl.concat([scan(ref).join(batch, on="query_id", how="semi") for ref in candidates]).collect(),
                standardise=config.standardise,
                moments=moments,
                weights=config.weights,
                top_k=config.top_k + ignore_own_document,
                top_products=products.top_products(job.device, job.threads),
                advance=advance,
            )
            job.out.write(without_own_documents(fused, config.top_k) if ignore_own_document else fused, shard=number)


def _side_by_side(documents: dict[str, DatasetRef]) -> Iterator[dict[str, pl.DataFrame]]:
    """Read the embeddings of several encoders together, cut as those of the first."""
    first = load(next(iter(documents.values())))
    size = max(part.rows for part in first.parts)
    cut = [split_shards(iter_parts(ref), max(size, 1)) for ref in documents.values()]
    return (dict(zip(documents, together, strict=True)) for together in zip(*cut, strict=True))
