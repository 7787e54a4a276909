"""Exact search of a shard, from numpy to numpy: this project's products and sentence-transformers' semantic_search."""

from functools import partial
from typing import Any

import numpy as np
import torch
from inputs import Call
from numpy.typing import NDArray
from sentence_transformers.util import semantic_search

from tasks.retrieve.torch_products import TorchProducts

DEPTH = 100


def main() -> None:
    """Measure both."""
    call = Call()
    num_queries, num_documents, size = (3000, 50_000, 768) if call.on_gpu else (30, 2000, 32)
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((num_queries, size), dtype=np.float32)
    documents = rng.standard_normal((num_documents, size), dtype=np.float32).astype(np.float16)
    flop = 2 * size  # of a product
    for side, search in (("ours", _ours), ("theirs", _theirs)):
        call.attempt("search", partial(_measure, call, search, queries, documents), side=side, flop=flop)


def _measure(call: Call, search: Any, queries: NDArray[Any], documents: NDArray[Any]) -> dict[str, Any]:
    work = search(call, queries, documents)
    work()
    return {"per_second": len(queries) * len(documents) * 5 / call.seconds(lambda: [work() for _ in range(5)])}


def _ours(call: Call, queries: NDArray[Any], documents: NDArray[Any]) -> Any:
    there = TorchProducts(call.device, queries)  # they stay there for all shards
    return lambda: there.of(documents)(np.arange(len(queries)), DEPTH)


def _theirs(call: Call, queries: NDArray[Any], documents: NDArray[Any]) -> Any:
    there = torch.from_numpy(queries).to(call.device)
    return lambda: semantic_search(
        there,
        torch.from_numpy(documents.astype(np.float32)).to(call.device),
        top_k=DEPTH,
        query_chunk_size=len(queries),
        corpus_chunk_size=len(documents),
    )


if __name__ == "__main__":
    main()
