"""Second stage: corpus and queries -> embeddings; candidates of each system; fused candidates."""

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from storage import DatasetRef, count, folder, iter_parts, read, scan
from tasks.retrieve.config import Bm25Config, FuseConfig, SearchConfig
from tasks.stage import Job, deferred, stage

if TYPE_CHECKING:
    from tasks.models import encoder as encoders
    from tasks.models import texts
    from tasks.retrieve import bm25, embed, fuse, lucene
    from tasks.retrieve import search as dense
else:
    bm25 = deferred("tasks.retrieve.bm25")
    dense = deferred("tasks.retrieve.search")
    embed = deferred("tasks.retrieve.embed")
    encoders = deferred("tasks.models.encoder")
    fuse = deferred("tasks.retrieve.fuse")
    lucene = deferred("tasks.retrieve.lucene")
    texts = deferred("tasks.models.texts")


@stage(produces="candidates", resource="jvm")
def retrieve_bm25(
    job: Job,
    *,
    corpus: DatasetRef,
    queries: DatasetRef,
    splits: tuple[str, ...],
    analyzer: str,
    search: SearchConfig,
    config: Bm25Config,
) -> None:
    """Rank the corpus for the queries by BM25."""
    wanted = _queries(queries, splits)
    with (
        lucene.shared_lucene(java_home=config.java_home, heap_mb=config.heap_mb, threads=job.threads) as java,
        tempfile.TemporaryDirectory(dir=job.scratch) as index,  # a killed run starts its index anew
        job.progress(count(corpus) + wanted.height, "documents and queries") as advance,
    ):
        job.out.write(
            bm25.rank_documents(
                iter_parts(corpus),
                wanted,
                lucene=java,
                folder=Path(index),
                analyzer=analyzer,
                text=config.text,
                k1=config.k1,
                b=config.b,
                depth=search.depth,
                advance=advance,
            )
        )


@stage(produces="embeddings", resource="model")
def embed_documents(
    job: Job, *, corpus: DatasetRef, encoder: DatasetRef, max_tokens: int, text: str, shard_size: int
) -> None:
    """Embed the corpus, shard by shard; a killed run goes on with the first shard that is missing."""
    missing = set(job.out.missing(math.ceil(count(corpus) / shard_size)))
    if not missing:
        return
    network = encoders.shared_encoder(folder(encoder) / "model", job.device)
    with job.progress(count(corpus), "documents") as advance:
        for number, shard in enumerate(embed.split_shards(iter_parts(corpus), shard_size)):
            if number in missing:
                vectors = embed.embed_texts(
                    shard["doc_id"],
                    shard.select(texts.document_text(text).alias("text"))["text"],
                    encoder=network,
                    role="document",
                    max_tokens=max_tokens,
                    batch_tokens=job.batch_tokens,
                    progress=embed.counted_from(number * shard_size, advance),
                )
                job.out.write(vectors, shard=number)


@stage(produces="embeddings", resource="model")
def embed_queries(
    job: Job, *, queries: DatasetRef, encoder: DatasetRef, splits: tuple[str, ...], max_tokens: int
) -> None:
    """Embed the queries of some splits."""
    wanted = _queries(queries, splits)
    network = encoders.shared_encoder(folder(encoder) / "model", job.device)
    with job.progress(wanted.height, "queries") as advance:
        vectors = embed.embed_texts(
            wanted["query_id"],
            wanted["text"],
            encoder=network,
            role="query",
            max_tokens=max_tokens,
            batch_tokens=job.batch_tokens,
            progress=embed.counted_from(0, advance),
        )
    job.out.write(vectors)


@stage(produces="candidates")
def search_dense(job: Job, *, documents: DatasetRef, queries: DatasetRef, system: str, search: SearchConfig) -> None:
    """Rank all documents for the queries by their vectors, exactly."""
    with job.progress(count(documents), "documents") as advance:
        job.out.write(
            dense.search_shards(
                iter_parts(documents),
                read(queries),
                system=system,
                depth=search.depth,
                threads=job.threads,
                advance=advance,
            )
        )


@stage(produces="fused")
def fuse_candidates(
    job: Job, *, candidates: list[DatasetRef], queries: DatasetRef, splits: tuple[str, ...], config: FuseConfig
) -> None:
    """Fuse what the systems found for the queries of some splits."""
    wanted = scan(queries).filter(pl.col("split").is_in(splits)).select("query_id")
    found = pl.concat([scan(system).join(wanted, on="query_id", how="semi") for system in candidates]).collect()
    job.out.write(
        fuse.fuse_candidates(
            found,
            method=config.method,
            standardise=config.standardise,
            weights=config.weights,
            top_k=config.top_k,
            rrf_k=config.rrf_k,
        )
    )


def _queries(queries: DatasetRef, splits: tuple[str, ...]) -> pl.DataFrame:
    wanted = scan(queries).filter(pl.col("split").is_in(splits)).select("query_id", "text")
    return wanted.sort("query_id").collect()
