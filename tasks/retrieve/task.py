"""Second stage: corpus and queries -> embeddings; candidates of each system; fused candidates."""

import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from storage import DatasetRef, count, folder, iter_parts, load, scan
from tasks.engine.job import Job
from tasks.models import encoder as encoders
from tasks.models import texts
from tasks.retrieve import approximate, bm25, concatenate, embed, fuse, lucene, moments, recall, shards
from tasks.retrieve import products as cpu
from tasks.retrieve import search as dense
from tasks.retrieve import torch_products as gpu
from tasks.retrieve.config import QUERIES_AT_ONCE, Bm25Config, FuseConfig, IvfPqConfig, SearchConfig


def retrieve_bm25(
    job: Job,
    *,
    corpus: DatasetRef,
    queries: DatasetRef,
    splits: tuple[str, ...],
    analyzer: str,
    text: str,
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
                text=text,
                k1=config.k1,
                b=config.b,
                depth=search.depth,
                advance=advance,
            )
        )


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
    missing = set(job.out.missing(math.ceil(count(corpus) / shard_size)))
    if not missing:
        return
    network = encoders.shared_encoder(folder(encoder) / "model", job.device, dtype)
    with job.progress(count(corpus), "documents") as advance:
        for number, shard in enumerate(shards.split_shards(iter_parts(corpus), shard_size)):
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


def embed_queries(
    job: Job,
    *,
    queries: DatasetRef,
    encoder: DatasetRef,
    splits: tuple[str, ...],
    max_tokens: int,
    dtype: str = "float32",
) -> None:
    """Embed the queries of some splits."""
    wanted = _queries(queries, splits)
    network = encoders.shared_encoder(folder(encoder) / "model", job.device, dtype)
    with job.progress(wanted.height, "queries") as advance:
        for number in range(max(1, math.ceil(wanted.height / QUERIES_AT_ONCE))):
            batch = wanted.slice(number * QUERIES_AT_ONCE, QUERIES_AT_ONCE)
            vectors = embed.embed_texts(
                batch["query_id"],
                batch["text"],
                encoder=network,
                role="query",
                max_tokens=max_tokens,
                batch_tokens=job.batch_tokens,
                progress=embed.counted_from(number * QUERIES_AT_ONCE, advance),
            )
            job.out.write(vectors)


def search_dense(
    job: Job,
    *,
    documents: DatasetRef,
    queries: DatasetRef,
    system: str,
    search: SearchConfig,
    approximate_above: int | None = None,
    ivf_pq: IvfPqConfig | None = None,
) -> None:
    """Rank all documents for the queries by their vectors: exactly, or by IVF-PQ where asked and there are enough.

    The queries come in batches, and a killed run goes on with the first batch that is missing.
    """
    if ivf_pq is not None and count(documents) >= max((approximate_above or 0) + 1, approximate.FEWEST):
        _search_approximately(job, documents, queries, system=system, depth=search.depth, config=ivf_pq)
        return
    num_batches = math.ceil(count(queries) / QUERIES_AT_ONCE)
    missing = set(job.out.missing(num_batches))
    with job.progress(count(documents) * num_batches, "documents") as advance:
        for number, batch in enumerate(shards.split_shards(iter_parts(queries), QUERIES_AT_ONCE)):
            if number in missing:
                found = dense.search_shards(
                    iter_parts(documents),
                    batch,
                    system=system,
                    depth=search.depth,
                    top_products=_top_products(job),
                    advance=shards.counted_beyond(number * count(documents), advance),
                )
                job.out.write(found, shard=number)


def _top_products(job: Job) -> "cpu.TopProducts":
    return gpu.torch_products(job.device) if job.device == "cuda" else cpu.faiss_products(job.threads)


def _search_approximately(
    job: Job, documents: DatasetRef, queries: DatasetRef, *, system: str, depth: int, config: IvfPqConfig
) -> None:
    """Search with an index, and exactly for a sample of the queries; `search/recall.json` says what that showed."""
    index = approximate.build_index(
        lambda: iter_parts(documents),
        count(documents),
        num_lists=config.num_lists,
        code_bytes=config.code_bytes,
        seed=config.seed,
        threads=job.threads,
    )
    hits = expected = 0
    with job.progress(count(queries), "queries") as advance:
        for found, exact in recall.search_with_sample(
            lambda: iter_parts(documents),
            shards.split_shards(iter_parts(queries), QUERIES_AT_ONCE),
            index,
            sample=recall.spread(count(queries), config.sampled_queries),
            system=system,
            depth=depth,
            num_probes=config.num_probes,
            num_candidates=config.num_candidates,
            threads=job.threads,
            top_products=_top_products(job),
            advance=advance,
        ):
            job.out.write(found)
            hits, expected = hits + recall.count_hits(found, exact), expected + exact.height
    report = {
        "index": "ivf_pq",
        "documents": count(documents),
        "num_lists": index.nlist,
        "code_bytes": index.pq.M,
        "num_probes": config.num_probes,
        "num_candidates": config.num_candidates,
        "depth": depth,
        "sampled_queries": len(recall.spread(count(queries), config.sampled_queries)),
        "recall": round(hits / expected, 6) if expected else None,
    }
    told = job.scratch / "search"
    told.mkdir(exist_ok=True)
    (told / "recall.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    job.out.add_folder(told, "search")
    job.log.info("IVF-PQ: recall %s of the exact search, on %s queries", report["recall"], report["sampled_queries"])


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


def fuse_vectors(
    job: Job,
    *,
    candidates: list[DatasetRef],
    documents: dict[str, DatasetRef],
    vectors: dict[str, DatasetRef],
    queries: DatasetRef,
    splits: tuple[str, ...],
    config: FuseConfig,
) -> None:
    """Fuse the systems exactly, for the queries of some splits: search all encoders' vectors put together."""
    wanted = _queries(queries, splits).select("query_id")
    num_batches = math.ceil(wanted.height / QUERIES_AT_ONCE)
    missing = set(job.out.missing(num_batches))
    found = (part.join(wanted, on="query_id", how="semi") for system in candidates for part in iter_parts(system))
    of_language = moments.language_moments(found if config.standardise == "language" else ())
    num_documents = count(next(iter(documents.values())))
    with job.progress(num_documents * num_batches, "documents") as advance:
        for number in sorted(missing):
            batch = wanted.slice(number * QUERIES_AT_ONCE, QUERIES_AT_ONCE).lazy()
            fused = concatenate.concatenate_encoders(
                lambda: _side_by_side(documents),
                {
                    system: scan(ref).join(batch, left_on="id", right_on="query_id", how="semi").collect()
                    for system, ref in vectors.items()
                },
                pl.concat([scan(ref).join(batch, on="query_id", how="semi") for ref in candidates]).collect(),
                standardise=config.standardise,
                moments=of_language,
                weights=config.weights,
                top_k=config.top_k,
                top_products=_top_products(job),
                advance=shards.counted_beyond(number * num_documents, advance),
            )
            job.out.write(fused, shard=number)


def _side_by_side(documents: dict[str, DatasetRef]) -> Iterator[dict[str, pl.DataFrame]]:
    """Read the embeddings of several encoders together, cut as those of the first."""
    first = load(next(iter(documents.values())))
    size = max(part.rows for part in first.parts)
    cut = [shards.split_shards(iter_parts(ref), max(size, 1)) for ref in documents.values()]
    return (dict(zip(documents, together, strict=True)) for together in zip(*cut, strict=True))


def _queries(queries: DatasetRef, splits: tuple[str, ...]) -> pl.DataFrame:
    wanted = scan(queries).filter(pl.col("split").is_in(splits)).select("query_id", "text")
    return wanted.sort("query_id").collect()
