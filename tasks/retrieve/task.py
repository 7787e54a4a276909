"""Encoder; corpus and queries -> embeddings; candidates of each system."""

import contextlib
import dataclasses
import functools
import importlib.metadata
import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import polars as pl

from storage import DatasetRef, code_fingerprint, count, fingerprint, folder, iter_parts, load, scan
from storage.backend import cache
from tasks.engine.job import Job
from tasks.engine.known import Known, Split
from tasks.models import encoder as encoders
from tasks.models import prompts, sources, texts
from tasks.models.layout import Role
from tasks.retrieve import bm25, embed, inverted_file, lucene, products
from tasks.retrieve import search as dense
from tasks.retrieve.analyzers import STANDARD, standard_note
from tasks.retrieve.config import EXACT, QUERIES_AT_ONCE, Bm25Config, EncoderConfig, SearchConfig
from tasks.retrieve.vectors import split_shards

_SAMPLED_QUERIES = 200  # at least, that are searched exactly too, for the recall of an index


def prepare_encoder(job: Job, *, config: EncoderConfig, digest: str) -> None:
    """Bring an encoder into the store, with its pooling and prompts: transformers and sentence-transformers load it."""
    target, wanted = job.scratch / "model", config.resolved().text_settings()
    job.log.info("%s", prompts.describe(config.model, **wanted))
    facts = sources.write_encoder(config.model, target, num_layers=config.num_layers, **wanted)
    job.out.write(pl.DataFrame([{**dataclasses.asdict(facts), "digest": digest}]))
    job.out.add_folder(target, "model")


def retrieve_bm25(
    job: Job,
    *,
    corpus: DatasetRef,
    queries: DatasetRef,
    analyzer: str,
    text: str,
    search: SearchConfig,
    config: Bm25Config,
    ignore_own_document: bool = False,
) -> None:
    """Rank the corpus for the queries by BM25. The index is kept in the user's cache, for other queries."""
    asked = _queries(queries)
    index = bm25_index(corpus, text=text, analyzer=analyzer)
    num_indexed = 0 if index.exists() else count(corpus)
    if num_indexed and analyzer == STANDARD:  # with the index: once for each language
        job.log.info("%s", standard_note([corpus.partition]))
    with (
        contextlib.closing(lucene.Lucene(job.threads)) as java,
        job.bar(num_indexed + asked.height, "documents and queries") as advance,
    ):
        candidates = bm25.rank_documents(
            iter_parts(corpus),
            asked,
            lucene=java,
            index=index,
            analyzer=analyzer,
            text=text,
            k1=config.k1,
            b=config.b,
            depth=search.depth + ignore_own_document,
            advance=advance,
        )
    job.out.write(dense.without_own_documents(candidates, search.depth) if ignore_own_document else candidates)


def bm25_index(corpus: DatasetRef, *, text: str, analyzer: str) -> Path:
    """Name the folder of a corpus's BM25 index, in this user's cache, whether it is there or not."""
    versions = [importlib.metadata.version(name) for name in ("pyserini", "pythainlp")]
    made_of = [load(corpus).content, text, analyzer, versions, code_fingerprint([bm25.__name__])]
    return cache() / "bm25" / fingerprint(made_of)


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


def search_dense(
    job: Job,
    *,
    documents: DatasetRef,
    queries: DatasetRef,
    system: str,
    search: SearchConfig,
    index: str = EXACT,
    parameters: str = "",
    ignore_own_document: bool = False,
) -> None:
    """Rank all documents for the queries by their vectors: exactly, or by an index where there are enough to train it.

    The queries come in batches, and a killed exact search goes on with the first batch that is missing.
    """
    if index != EXACT and count(queries) and count(documents) >= inverted_file.num_trained_on(index):
        _search_index(
            job,
            documents,
            queries,
            system=system,
            depth=search.depth,
            index=index,
            parameters=parameters,
            ignore_own_document=ignore_own_document,
        )
        return
    num_batches = math.ceil(count(queries) / QUERIES_AT_ONCE)
    missing = set(job.out.missing(num_batches))
    with job.bar(count(documents) * num_batches, "documents") as advance:
        for number, batch in enumerate(split_shards(iter_parts(queries), QUERIES_AT_ONCE)):
            if number in missing:
                candidates = dense.search_shards(
                    iter_parts(documents),
                    batch,
                    system=system,
                    depth=search.depth + ignore_own_document,
                    top_products=products.top_products(job.device, job.threads),
                    advance=advance,
                )
                if ignore_own_document:
                    candidates = dense.without_own_documents(candidates, search.depth)
                job.out.write(candidates, shard=number)
            else:
                advance(count(documents))


def _search_index(
    job: Job,
    documents: DatasetRef,
    queries: DatasetRef,
    *,
    system: str,
    depth: int,
    index: str,
    parameters: str,
    ignore_own_document: bool,
) -> None:
    """Search by an index, and exactly for a sample of the queries; `search/recall.json` says what that showed."""
    made = inverted_file.build_index(
        lambda: iter_parts(documents), count(documents), index=index, parameters=parameters, threads=job.threads
    )
    step = max(1, count(queries) // _SAMPLED_QUERIES)
    sampled, of_sampled, done = [], [], 0
    with job.bar(count(queries), "queries") as advance:
        for batch in split_shards(iter_parts(queries), QUERIES_AT_ONCE):
            candidates = inverted_file.search_index(
                iter_parts(documents),
                batch,
                made,
                system=system,
                depth=depth + ignore_own_document,
                threads=job.threads,
            )
            job.out.write(dense.without_own_documents(candidates, depth) if ignore_own_document else candidates)
            sampled.append(batch[-done % step :: step])
            of_sampled.append(candidates.join(sampled[-1].select(query_id="id"), on="query_id", how="semi"))
            done += batch.height
            advance(batch.height)
    exact = dense.search_shards(
        iter_parts(documents),
        pl.concat(sampled),
        system=system,
        depth=depth + ignore_own_document,
        top_products=products.top_products(job.device, job.threads),
        advance=lambda done: None,
    )
    both = exact.join(pl.concat(of_sampled), on=["query_id", "doc_id"], how="semi")
    report = {
        "index": index,
        "parameters": parameters,
        "documents": count(documents),
        "depth": depth,
        "sampled_queries": sum(rows.height for rows in sampled),
        "recall": round(both.height / exact.height, 6),
    }
    files = job.scratch / "search"
    files.mkdir(exist_ok=True)
    (files / "recall.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    job.out.add_folder(files, "search")
    job.log.info("%s: recall %s of the exact search, on %s queries", index, report["recall"], report["sampled_queries"])


def _queries(queries: DatasetRef) -> pl.DataFrame:
    return scan(queries).select("query_id", "text").sort("query_id").collect()
