"""Random unit vectors as stored datasets, for `benchmarks/mining_scale.py`."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.engine.job import Job
from tasks.engine.step import Promise, Step

DIMENSIONS, SHARD, TOP_K = 384, 10_000, 40
Floats = NDArray[np.float32]

draw_embeddings = Step("drawn_inputs:write_embeddings", produces="embeddings")
name_queries = Step("drawn_inputs:write_queries", produces="queries")


def vectors(seed: int, number: int) -> Floats:
    """Draw unit vectors."""
    drawn_ND = np.random.default_rng(seed).standard_normal((number, DIMENSIONS), dtype=np.float32)
    return drawn_ND / np.linalg.norm(drawn_ND, axis=1, keepdims=True)


def write_embeddings(job: Job, *, prefix: str, number: int) -> None:
    """Write random vectors, shard by shard; the first shards of two sizes are the same."""
    for shard in range(0, number, SHARD):
        half_ND = vectors(shard, min(SHARD, number - shard)).astype(np.float16)
        ids = [f"{prefix}{position:07d}" for position in range(shard, shard + len(half_ND))]
        vector = pl.Series("vector", half_ND, dtype=pl.Array(pl.Float16, DIMENSIONS))
        job.out.write(pl.DataFrame([pl.Series("id", ids), vector]))


def write_queries(job: Job, *, number: int) -> None:
    """Write as many queries."""
    ids = [f"q{position:07d}" for position in range(number)]
    texts = {"text": "none", "split": "train", "origin": "given"}
    columns = [pl.lit(value).alias(name) for name, value in texts.items()]
    job.out.write(pl.DataFrame({"query_id": ids}).with_columns(*columns, parent=pl.lit(None, dtype=pl.String)))


def inputs(num_documents: int, num_queries: int) -> tuple[Promise, Promise, Promise]:
    """Promise what is there before the clock starts: documents' vectors, queries' vectors, queries."""
    documents = draw_embeddings("sw", prefix="d", number=num_documents)
    return documents, draw_embeddings("en", prefix="q", number=num_queries), name_queries("sw", number=num_queries)
