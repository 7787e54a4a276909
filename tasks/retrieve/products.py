"""The largest products of queries and a shard, roughly. Shapes: P queries, N documents, D numbers, C candidates."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Protocol

import faiss
import numpy as np
import torch

from tasks.retrieve.vectors import Floats, Positions

_PRODUCTS = 2**28  # float32 products on a GPU at once: 1 GiB


class TopProducts(Protocol):
    """Finds each query's documents with the largest inner products, in float32 of any order of sums."""

    def __call__(self, query_PD: Floats, document_ND: Floats, number: int) -> tuple[Floats, Positions]:
        """Return products and positions, [P, number] each, the largest first; `number` is at most N."""
        ...


def top_products(device: str, threads: int) -> TopProducts:
    """Return the search of a device: torch's on `cuda`, FAISS's with so many threads on `cpu`."""
    return torch_products(device) if device == "cuda" else faiss_products(threads)


def faiss_products(threads: int) -> TopProducts:
    """Return the search on the CPU, by FAISS."""
    return functools.partial(_by_faiss, threads)


def torch_products(device: str) -> TopProducts:
    """Return the search by torch, on `cuda` (or `cpu`, in tests)."""
    return functools.partial(_by_torch, device)


def _by_faiss(threads: int, query_PD: Floats, document_ND: Floats, number: int) -> tuple[Floats, Positions]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)  # of this thread alone, where a network may compute next
    try:
        product_PC, position_PC = faiss.knn(query_PD, document_ND, number, metric=faiss.METRIC_INNER_PRODUCT)
    finally:
        faiss.omp_set_num_threads(before)
    return product_PC, position_PC


def _by_torch(device: str, query_PD: Floats, document_ND: Floats, number: int) -> tuple[Floats, Positions]:
    rows = max(1, _PRODUCTS // len(document_ND))
    product_PC = np.empty((len(query_PD), number), dtype=np.float32)
    position_PC = np.empty((len(query_PD), number), dtype=np.int64)
    with torch.inference_mode(), _whole_float32():
        documents = torch.from_numpy(document_ND).to(device).T
        for start in range(0, len(query_PD), rows):
            products = torch.from_numpy(query_PD[start : start + rows]).to(device) @ documents
            top = products.topk(number, dim=1)
            product_PC[start : start + rows] = top.values.cpu().numpy()
            position_PC[start : start + rows] = top.indices.cpu().numpy()
    return product_PC, position_PC


@contextlib.contextmanager
def _whole_float32() -> Iterator[None]:
    """Multiply with all bits of float32: TF32's rounding is beyond the bound that the exact search counts on."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
