"""Approximate dense search, by faiss. Shapes: Q queries, N documents, D numbers, C candidates, P pairs.

An inverted file (IVF) holds the documents in lists by their nearest centre, each as faiss's string says, and chooses
candidates; their stored vectors rank them exactly. faiss runs on one thread per block of rows, and blocks have a fixed
size: the same answer for any number of threads and any shard size. Another build of faiss, or a processor with other
vector instructions, may choose other candidates.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faiss
import numpy as np
import polars as pl

from tasks.retrieve.search import BEST, as_candidates, keep_best
from tasks.retrieve.vectors import Floats, Vectors, exact_products, split_shards

_SAMPLED = 64  # documents per list that its centre is trained on; the least that faiss asks for is 39
_CODED = 256 * 39  # and on which codes of a byte are
_ROUNDS = 10  # of k-means
_CHOSEN = 10  # candidates per document that is asked for
_DOCUMENTS = 4096  # per block
_QUERIES = 64

Shards = Callable[[], Iterable[pl.DataFrame]]


def num_trained_on(index: str) -> int:
    """Return how many documents an index is trained on: a corpus of fewer is searched exactly in no time."""
    num_lists = int(index.partition(",")[0].removeprefix("IVF"))
    return max(_SAMPLED * num_lists, _CODED)


def build_index(shards: Shards, num_documents: int, *, index: str, parameters: str, threads: int) -> Any:
    """Train an index on a sample of the documents and put all of them into it, by their position in the corpus.

    Args:
        shards: gives the documents' embeddings; called twice.
        num_documents: rows of all shards, at least `num_trained_on(index)`.
        index: for faiss's index_factory, such as `IVF4096,PQ64`.
        parameters: faiss's search parameters, such as `nprobe=64`.
        threads: blocks at a time.

    Returns:
        A faiss index. In memory: the bytes per document that its string says, and 8.

    Raises:
        ValueError: the vectors cannot be stored so, e.g. as 64 bytes if their size is not a multiple of 64.
    """
    sample_ND = _sample(shards(), num_documents, num_trained_on(index))
    try:
        made: Any = faiss.index_factory(sample_ND.shape[1], index, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise ValueError(
            f"search: expected an index for vectors of {sample_ND.shape[1]} numbers, got '{index}', of which faiss "
            f"says: {error}. Change retrieve.search.index; PQ takes a number of bytes that divides the vectors' size."
        ) from error
    made.cp.niter = _ROUNDS
    if hasattr(made, "pq"):
        made.pq.cp.niter = _ROUNDS
        made.do_polysemous_training = False  # most of the time, for a filter that `parameters` cannot name
    first = 0
    with _one_thread_each(1) as trainer:
        trainer.submit(made.train, sample_ND).result()
    with _one_thread_each(threads) as pool:
        for shard in split_shards(shards(), _DOCUMENTS * threads):
            vector_ND = Vectors.of({"": shard}).blocks[0]
            blocks = [vector_ND[at : at + _DOCUMENTS] for at in range(0, len(vector_ND), _DOCUMENTS)]
            for codes in pool.map(made.sa_encode, blocks):
                made.add_sa_codes(codes, np.arange(first, first + len(codes), dtype=np.int64))
                first += len(codes)
    space: Any = faiss.ParameterSpace()
    space.set_index_parameters(made, parameters)
    return made


def search_index(
    shards: Iterable[pl.DataFrame], queries: pl.DataFrame, index: Any, *, system: str, depth: int, threads: int
) -> pl.DataFrame:
    """Rank the documents that an index chooses for each query by the inner product of the stored vectors.

    Args:
        shards: the documents' embeddings that the index was built from.
        queries: the queries' embeddings: id, vector.
        system: name of the retriever.
        depth: documents per query, at most.
        index: from `build_index`.
        threads: blocks at a time.

    Returns:
        candidates, as `search_shards` returns them.

    Raises:
        ValueError: the vectors of documents and queries differ in size.
    """
    asked = Vectors.of({system: queries.sort("id")})
    query_QD = asked.blocks[0]
    if asked.sizes != (index.d,):
        raise ValueError(
            f"search: expected queries of {index.d} numbers, as the documents, got {asked.sizes[0]}. "
            "Embed both with the same encoder."
        )
    with _one_thread_each(threads) as pool:
        blocks = [query_QD[at : at + _QUERIES] for at in range(0, len(query_QD), _QUERIES)]
        chosen = [places for _, places in pool.map(lambda block: index.search(block, _CHOSEN * depth), blocks)]
    place_QC = np.concatenate([np.empty((0, _CHOSEN * depth), np.int64), *chosen])
    query_P, column_P = np.nonzero(place_QC >= 0)  # -1 where the lists hold fewer
    place_P = place_QC[query_P, column_P]
    order = np.lexsort((query_P, place_P))
    query_P, place_P = query_P[order], place_P[order]
    best = pl.DataFrame(schema=BEST)
    first = 0
    for shard in shards:
        documents = Vectors.of({system: shard})
        here = slice(*np.searchsorted(place_P, [first, first + len(documents.ids)]))
        score_P = exact_products(asked, documents, query_P[here], place_P[here] - first)[:, 0]
        scored = {"query": query_P[here], "doc_id": documents.ids.gather(place_P[here] - first), "score": score_P}
        best = keep_best(pl.concat([best, pl.DataFrame(scored, schema=BEST)]), depth)
        first += len(documents.ids)
    return as_candidates(best, asked.ids, system)


def _sample(shards: Iterable[pl.DataFrame], num_documents: int, size: int) -> Floats:
    chosen = np.sort(np.random.default_rng(0).choice(num_documents, size=size, replace=False))
    parts, first = [], 0
    for shard in shards:
        low, high = np.searchsorted(chosen, [first, first + shard.height])
        parts.append(Vectors.of({"": shard[chosen[low:high] - first]}).blocks[0])
        first += shard.height
    return np.concatenate(parts)


def _one_thread_each(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, initializer=faiss.omp_set_num_threads, initargs=(1,))
