"""The same as `products` on a GPU, by torch. Shapes: P queries, N documents, D numbers, C candidates."""

import contextlib
import functools
from collections.abc import Iterator

import numpy as np
import torch

from tasks.retrieve.products import TopProducts
from tasks.retrieve.vectors import Floats, Positions

_PRODUCTS = 2**28  # float32 products on the device at once: 1 GiB


def torch_products(device: str) -> TopProducts:
    """Return the search on a device (`cuda`; `cpu` in tests)."""
    return functools.partial(_top_products, device)


def _top_products(device: str, query_PD: Floats, document_ND: Floats, wanted: int) -> tuple[Floats, Positions]:
    rows = max(1, _PRODUCTS // len(document_ND))
    product_PC = np.empty((len(query_PD), wanted), dtype=np.float32)
    position_PC = np.empty((len(query_PD), wanted), dtype=np.int64)
    with torch.inference_mode(), _whole_float32():
        documents = torch.from_numpy(document_ND).to(device).T
        for start in range(0, len(query_PD), rows):
            products = torch.from_numpy(query_PD[start : start + rows]).to(device) @ documents
            top = products.topk(wanted, dim=1)
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
