"""The largest products of queries and a shard, roughly. Shapes: Q queries, P of them, N documents, C candidates."""

import functools
from collections.abc import Callable
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from tasks.retrieve.torch_products import TorchProducts
from tasks.retrieve.vectors import Floats, Positions

Best = Callable[[Positions, int], tuple[Floats, Positions]]
"""Takes positions of queries and a number, at most N; returns products and documents' positions, both [P, number], the
largest first, in float32 of any order of sums."""


class Products(Protocol):
    """Queries that wait for documents."""

    ahead: bool
    """Shards are to be read while others are multiplied."""
    dtype: Any
    """In which `of` wants the documents, where they lose nothing by it."""

    def of(self, document_ND: NDArray[Any]) -> Best:
        """Return what finds the best of these documents."""
        ...


TopProducts = Callable[[Floats], Products]
"""Takes the queries, [Q, D]."""


def top_products(device: str, threads: int) -> TopProducts:
    """Return the search of a device: FAISS's with so many threads on `cpu`, else torch's."""
    return faiss_products(threads) if device == "cpu" else torch_products(device)


def faiss_products(threads: int) -> TopProducts:
    """Return the search on the CPU, by FAISS."""
    return functools.partial(_FaissProducts, threads)


def torch_products(device: str) -> TopProducts:
    """Return the search by torch, on `cuda` or one of several GPUs (or `cpu`, in tests)."""
    return functools.partial(TorchProducts, device)


class _FaissProducts:
    ahead = False
    dtype: Any = np.float32

    def __init__(self, threads: int, query_QD: Floats) -> None:
        self._threads = threads
        self._query_QD = query_QD

    def of(self, document_ND: NDArray[Any]) -> Best:
        def best(query_P: Positions, number: int) -> tuple[Floats, Positions]:
            before = faiss.omp_get_max_threads()
            faiss.omp_set_num_threads(self._threads)  # of this thread alone, where a network may compute next
            try:
                query_PD = self._query_QD[query_P]
                product_PC, position_PC = faiss.knn(query_PD, document_ND, number, metric=faiss.METRIC_INNER_PRODUCT)
            finally:
                faiss.omp_set_num_threads(before)
            return product_PC, position_PC

        return best
