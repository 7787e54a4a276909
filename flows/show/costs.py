"""What stages cost: the work that their time is in proportion to, and the memory that they hold."""

import os
from collections.abc import Callable

from flows.show.expected import Expected
from tasks.engine.step import Promise
from tasks.retrieve.config import QUERIES_AT_ONCE, IvfPqConfig, SearchConfig

_CORES = os.cpu_count() or 1
# Units of work per second where nothing of the kind has run in the store. CPU: measured on 2 cores with AVX2
# (docs/experiments.md), per core; GPU: a guess, never measured.
SPEEDS = {
    "cpu": {
        "multiplications": 30e9 * _CORES,
        "products": 15e9 * _CORES,
        "rows": 20e3,
        "documents": 3e3,
        "weights": 20e6,
    },
    "cuda": {"multiplications": 50e12, "products": 2e12, "rows": 20e3, "documents": 3e3, "weights": 20e6},
}
_PROCESS = 700e6  # bytes: Python with torch, polars and FAISS
_TEXT = 3_000  # bytes of a document in memory, its tokens included
_FOUND = 150  # bytes of a candidate in memory, while it is sorted

_JAVA = 30_000  # documents: what Java could search while it starts
_INDEXED = 5_000  # queries that could be searched exactly while IVF-PQ takes the documents in (docs/experiments.md)
_TRAINED = 3  # times the forward pass: backward costs two more


def work(promise: Promise, expected: Expected) -> tuple[float, str] | None:
    """Tell a Promise's work and its unit, a key of `SPEEDS`; None where nothing says, or no default speed is stated.

    Multiplications of an encoder count every text as long as it may be, products are numbers of vectors multiplied.
    """
    rule = _WORK.get(promise.step.name)
    if rule:
        return rule(promise, expected)
    if promise.step.resource == "model":
        return None
    rows = expected.rows(promise)
    handled = [rows] if rows is not None else [expected.rows(entry) for entry in promise.inputs.values()]
    return (float(sum(number or 0 for number in handled)), "rows") if handled and None not in handled else None


def memory(promise: Promise, expected: Expected, *, batch_tokens: int) -> float | None:
    """Tell the bytes that a Promise holds at most, those of the process included; None where no rule is stated."""
    rule = _MEMORY.get(promise.step.name)
    held = rule(promise, expected, batch_tokens) if rule else None
    return None if held is None else _PROCESS + held


def _prepare_work(promise: Promise, expected: Expected) -> tuple[float, str] | None:
    size = expected.encoder(promise)
    return None if size is None else (float(size.vocabulary * size.hidden + size.layer_weights), "weights")


def _embed_work(promise: Promise, expected: Expected) -> tuple[float, str] | None:
    rows, size = expected.rows(promise), expected.encoder(promise)
    if rows is None or size is None:
        return None
    return float(rows) * promise.arguments["max_tokens"] * size.layer_weights, "multiplications"


def _train_work(promise: Promise, expected: Expected) -> tuple[float, str] | None:
    plan, size = promise.inputs["batch_plan"], expected.encoder(promise)
    rows = expected.rows(plan)
    if rows is None or size is None:
        return None
    documents = 1 + plan.arguments["config"].num_negatives
    tokens = 64 + documents * 256
    return float(_TRAINED * rows * tokens * size.layer_weights), "multiplications"


def _search_work(promise: Promise, expected: Expected) -> tuple[float, str] | None:
    documents, queries = (expected.rows(promise.inputs[name]) for name in ("documents", "queries"))
    size = expected.encoder(promise)
    if documents is None or queries is None or size is None:
        return None
    index = _index(promise, documents)
    searched = _INDEXED + index.sampled_queries if index else queries
    return float(documents) * searched * size.hidden, "products"


def _concatenation_work(promise: Promise, expected: Expected) -> tuple[float, str] | None:
    asked, vectors = expected.asked(promise), _encoders(promise)
    documents = expected.rows(vectors[0])
    sizes = [expected.encoder(one) for one in vectors]
    if asked is None or documents is None or None in sizes:
        return None
    return float(documents) * asked * sum(size.hidden for size in sizes if size), "products"


def _bm25_work(promise: Promise, expected: Expected) -> tuple[float, str] | None:
    documents, asked = expected.rows(promise.inputs["corpus"]), expected.asked(promise)
    return None if documents is None or asked is None else (float(_JAVA + documents + asked), "documents")


def _embed_memory(promise: Promise, expected: Expected, batch_tokens: int) -> float | None:
    rows, size = expected.rows(promise), expected.encoder(promise)
    if rows is None or size is None:
        return None
    weights = (size.vocabulary * size.hidden + size.layer_weights) * 4 * 1.5  # half as much again while it is loaded
    shard: int = min(rows, promise.arguments.get("shard_size", QUERIES_AT_ONCE))
    return weights + shard * (_TEXT + 8 * size.hidden) + batch_tokens * size.hidden * 4 * 30


def _search_memory(promise: Promise, expected: Expected, _: int) -> float | None:
    documents, queries = (expected.rows(promise.inputs[name]) for name in ("documents", "queries"))
    size = expected.encoder(promise)
    search: SearchConfig = promise.arguments["search"]
    if documents is None or queries is None or size is None:
        return None
    shard: int = min(documents, promise.inputs["documents"].arguments.get("shard_size", documents))
    batch = min(queries, QUERIES_AT_ONCE)
    held: float = 10.0 * size.hidden * shard + batch * (8 * size.hidden + search.depth * _FOUND)
    index = _index(promise, documents)
    if index:
        sample = min(documents, 64 * (index.num_lists or documents**0.5))
        held += documents * (index.code_bytes + 16) + sample * size.hidden * 8 + batch * index.num_candidates * 64
    return held


def _concatenation_memory(promise: Promise, expected: Expected, _: int) -> float | None:
    asked, vectors = expected.asked(promise), _encoders(promise)
    documents = expected.rows(vectors[0])
    sizes = [expected.encoder(one) for one in vectors]
    if asked is None or documents is None or None in sizes:
        return None
    numbers = sum(size.hidden for size in sizes if size)
    shard: int = min(documents, vectors[0].arguments.get("shard_size", documents))
    depths: int = sum(
        one.arguments["search"].depth for one in promise.arguments["candidates"] if "search" in one.arguments
    )
    return 14.0 * numbers * shard + min(asked, QUERIES_AT_ONCE) * (8 * numbers + depths * _FOUND)


def _index(promise: Promise, documents: int) -> IvfPqConfig | None:
    """Return the settings of IVF-PQ if the search will be approximate."""
    index: IvfPqConfig | None = promise.arguments.get("ivf_pq")
    return index if index and documents > promise.arguments["approximate_above"] else None


def _encoders(promise: Promise) -> list[Promise]:
    return [entry for name, entry in promise.inputs.items() if name.startswith("documents.")]


_WORK: dict[str, Callable[[Promise, Expected], tuple[float, str] | None]] = {
    "prepare_encoder": _prepare_work,
    "embed_documents": _embed_work,
    "embed_queries": _embed_work,
    "search_dense": _search_work,
    "fuse_vectors": _concatenation_work,
    "retrieve_bm25": _bm25_work,
    "train_encoder": _train_work,
}
_MEMORY: dict[str, Callable[[Promise, Expected, int], float | None]] = {
    "embed_documents": _embed_memory,
    "embed_queries": _embed_memory,
    "search_dense": _search_memory,
    "fuse_vectors": _concatenation_memory,
}
