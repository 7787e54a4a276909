"""The largest products of queries and a shard on a GPU. Shapes: P queries, N documents, D numbers, C candidates.

Torch alone: a GPU machine that has neither FAISS nor polars runs its tests.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.models.memory import advised

_PRODUCTS = 2**28  # float32 products at once: 1 GiB


class TorchProducts:
    """The queries on a device, where they stay; `products.Products`."""

    ahead = True
    dtype: Any = np.float16  # as embeddings are stored: half the bytes to copy, widened there

    def __init__(self, device: str, query_QD: NDArray[np.float32]) -> None:
        """Copy the queries to `cuda`, or another device of torch."""
        self._device = device
        self._query_QD = torch.from_numpy(query_QD).to(device)

    def of(
        self, document_ND: NDArray[np.float32] | NDArray[np.float16]
    ) -> Callable[[NDArray[np.int64], int], tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Copy a shard there, and return what multiplies it.

        Raises:
            RuntimeError: memory does not suffice.
        """
        what = f"search: expected {len(document_ND)} documents of {document_ND.shape[1]} numbers"
        with advised(what, "Lower retrieve.shard_size."):
            documents_DN = torch.from_numpy(document_ND).to(self._device).float().T

        def best(query_P: NDArray[np.int64], number: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
            rows = max(1, _PRODUCTS // len(document_ND))
            places_P = torch.from_numpy(query_P).to(self._device)
            found = []
            with torch.inference_mode(), _whole_float32(), advised(what, "Lower retrieve.shard_size."):
                for start in range(0, len(query_P), rows):
                    products = self._query_QD[places_P[start : start + rows]] @ documents_DN
                    found.append(products.topk(number, dim=1))
                product_PC, position_PC = (torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True))
            return product_PC, position_PC

        return best


@contextlib.contextmanager
def _whole_float32() -> Iterator[None]:
    """Multiply with all bits of float32: TF32's rounding is beyond the bound that the exact search counts on."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
