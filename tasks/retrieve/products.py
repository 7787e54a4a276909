"""The largest products of queries and a shard, roughly. Shapes: P queries, N documents, D numbers, C candidates."""

import functools
from typing import Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from tasks.retrieve.vectors import Floats, Positions


class TopProducts(Protocol):
    """Finds each query's documents with the largest inner products, in float32 of any order of sums."""

    def __call__(self, query_PD: Floats, document_ND: Floats, wanted: int) -> tuple[Floats, Positions]:
        """Return products and positions, [P, wanted] each, the largest first; `wanted` is at most N."""
        ...


def faiss_products(threads: int) -> TopProducts:
    """Return the search on the CPU, by FAISS."""
    return functools.partial(_top_products, threads)


def _top_products(
    threads: int, query_PD: Floats, document_ND: Floats, wanted: int
) -> tuple[NDArray[np.float32], Positions]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)  # of this thread alone, where a network may compute next
    try:
        product_PC, position_PC = faiss.knn(query_PD, document_ND, wanted, metric=faiss.METRIC_INNER_PRODUCT)
    finally:
        faiss.omp_set_num_threads(before)
    return product_PC, position_PC
