"""Approximate dense search for large corpora. Shapes: Q queries, N documents, D numbers, C candidates, P pairs.

An inverted file with product quantisation (IVF-PQ) holds each document in a few bytes and chooses candidates; their
stored vectors rank them exactly. FAISS runs on one thread per block of rows, and blocks have a fixed size: the
same answer for any number of threads and any shard size. Another build of FAISS, or a processor with other vector
instructions, may choose other candidates.
"""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faiss
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.retrieve.search import BEST, as_candidates, keep_best
from tasks.retrieve.shards import split_shards
from tasks.retrieve.vectors import Floats, Positions, Vectors, check_sizes, exact_products

FEWEST = 39 * 256  # documents; fewer cannot train the 256 centres of a byte, and are searched exactly in no time
_SAMPLED = 64  # vectors per list that its centre is trained on
_BLOCK_DOCUMENTS = 4096
_BLOCK_QUERIES = 64

Shards = Callable[[], Iterable[pl.DataFrame]]


def build_index(
    shards: Shards, num_documents: int, *, num_lists: int | None, code_bytes: int, seed: int, threads: int
) -> Any:
    """Train an index on a sample of the documents and put all of them into it, by their position in the corpus.

    Args:
        shards: gives the documents' embeddings; called twice.
        num_documents: rows of all shards.
        num_lists: lists of the inverted file; the root of the number of documents where it is None.
        code_bytes: bytes per document, at most; the largest divisor of the vectors' size is taken.
        seed: decides the sample and the first centres.
        threads: blocks at a time.

    Returns:
        A FAISS index. In memory: about code_bytes + 8 bytes per document.

    Raises:
        ValueError: fewer than `FEWEST` documents.
    """
    if num_documents < FEWEST:
        raise ValueError(
            f"ivf_pq: expected at least {FEWEST} documents to train on, got {num_documents}. Search exactly."
        )
    lists = num_lists or max(1, round(math.sqrt(num_documents)))
    sample_ND = _sample(shards(), num_documents, max(_SAMPLED * lists, 2 * FEWEST), seed)
    index = _trained(sample_ND, num_lists=lists, code_bytes=code_bytes, seed=seed)
    first = 0
    with _one_thread_each(threads) as pool:
        for block_ND in split_shards(shards(), _BLOCK_DOCUMENTS * threads):
            vector_ND = Vectors.of({"": block_ND}).blocks[0]
            blocks = [vector_ND[at : at + _BLOCK_DOCUMENTS] for at in range(0, len(vector_ND), _BLOCK_DOCUMENTS)]
            for codes in pool.map(index.sa_encode, blocks):
                index.add_sa_codes(codes, np.arange(first, first + len(codes), dtype=np.int64))
                first += len(codes)
    return index


def search_approximately(
    shards: Shards,
    queries: pl.DataFrame,
    index: Any,
    *,
    system: str,
    depth: int,
    num_probes: int,
    num_candidates: int,
    threads: int,
    advance: Callable[[int], None],
) -> pl.DataFrame:
    """Rank the documents that the index chooses for each query by the inner product of the stored vectors.

    Args:
        shards: gives the documents' embeddings that the index was built from; called once.
        queries: the queries' embeddings: id, vector.
        index: from `build_index`.
        system: name of the retriever.
        depth: documents per query, at most.
        num_probes: lists that a query looks into.
        num_candidates: documents per query that the index chooses.
        threads: blocks at a time.
        advance: is told how many documents are done.

    Returns:
        candidates, as `search_shards` returns them.

    Raises:
        ValueError: the vectors of documents and queries differ in size.
    """
    asked = Vectors.of({system: queries.sort("id")})
    query_P, place_P = _chosen(index, asked.blocks[0], num_probes, max(depth, num_candidates), threads)
    best = pl.DataFrame(schema=BEST)
    done = 0
    for shard in shards():
        documents = Vectors.of({system: shard})
        check_sizes(asked, documents)
        here = slice(*np.searchsorted(place_P, [done, done + len(documents.ids)]))
        score_P = exact_products(asked, documents, query_P[here], place_P[here] - done)[:, 0]
        found = {"query": query_P[here], "doc_id": documents.ids.gather(place_P[here] - done), "score": score_P}
        best = keep_best(pl.concat([best, pl.DataFrame(found, schema=BEST)]), depth)
        done += len(documents.ids)
        advance(done)
    return as_candidates(best, asked.ids, system)


def divisor(size: int, at_most: int) -> int:
    """Return the largest divisor of `size` that is not above `at_most`."""
    return max(number for number in range(1, min(at_most, size) + 1) if size % number == 0)


def _sample(shards: Iterable[pl.DataFrame], num_documents: int, wanted: int, seed: int) -> Floats:
    size = min(num_documents, wanted)
    chosen = np.sort(np.random.default_rng(seed).choice(num_documents, size=size, replace=False))
    parts, first = [], 0
    for shard in shards:
        low, high = np.searchsorted(chosen, [first, first + shard.height])
        parts.append(Vectors.of({"": shard[chosen[low:high] - first]}).blocks[0])
        first += shard.height
    return np.concatenate(parts)


def _trained(sample_ND: Floats, *, num_lists: int, code_bytes: int, seed: int) -> Any:
    size = sample_ND.shape[1]
    centres = faiss.IndexFlatIP(size)
    index = faiss.IndexIVFPQ(centres, size, num_lists, divisor(size, code_bytes), 8, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = index.pq.cp.seed = seed
    index.cp.niter = index.pq.cp.niter = 10
    index.cp.spherical = True  # centres of unit vectors are unit vectors
    with _one_thread_each(1) as pool:
        pool.submit(index.train, sample_ND).result()
    return index


def _chosen(
    index: Any, query_QD: Floats, num_probes: int, num_candidates: int, threads: int
) -> tuple[Positions, Positions]:
    """Return the pairs of query and document, as positions, by document and query."""

    def search(block_QD: Floats) -> NDArray[np.int64]:
        probes = min(num_probes, index.nlist)
        parameters = faiss.SearchParametersIVF(nprobe=probes)  # type: ignore[call-arg]  # its stub knows no keywords
        _, position_QC = index.search(block_QD, num_candidates, params=parameters)
        return np.asarray(position_QC)

    with _one_thread_each(threads) as pool:
        blocks = [query_QD[at : at + _BLOCK_QUERIES] for at in range(0, len(query_QD), _BLOCK_QUERIES)]
        position_QC = np.concatenate([np.empty((0, num_candidates), np.int64), *pool.map(search, blocks)])
    query_P, column_P = np.nonzero(position_QC >= 0)  # -1 where the lists hold fewer
    place_P = position_QC[query_P, column_P]
    order = np.lexsort((query_P, place_P))
    return query_P[order], place_P[order]


def _one_thread_each(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, initializer=faiss.omp_set_num_threads, initargs=(1,))
