"""Encoder; candidates of each system."""

import contextlib
import dataclasses
import importlib.metadata
import json
import math
from pathlib import Path

import polars as pl

from storage import DatasetRef, code_fingerprint, count, fingerprint, iter_parts, load, scan
from storage.backend import cache
from tasks.engine.job import Job
from tasks.models import prompts, sources
from tasks.retrieve import bm25, inverted_file, lucene, products
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
