"""Steps whose shards several processes can make, in a module that workers find."""

import os
import time
from pathlib import Path

import numpy as np
import polars as pl

from tasks.engine.job import Job
from tasks.engine.step import Step


def write_rows(job: Job, *, folder: str, num_shards: int, fails_at: int = -1) -> None:
    """Write a row per shard. Says in `folder` who makes which, and goes on when the file `hold` is gone."""
    for shard in job.out.missing(num_shards):
        (Path(folder) / f"{shard}-{os.getpid()}").touch()
        while (Path(folder) / "hold").exists():
            time.sleep(0.01)
        if shard == fails_at:
            raise ValueError(f"write_rows: expected another shard, got {shard}. Leave it out.")
        job.out.write(pl.DataFrame({"query_id": ["q"], "doc_id": [f"{shard}"], "relevance": [1]}), shard=shard)


def write_vectors(job: Job, *, number: int, seed: int) -> None:
    """Write random unit vectors."""
    vector_ND = np.random.default_rng(seed).standard_normal((number, 16))
    vector_ND /= np.linalg.norm(vector_ND, axis=1, keepdims=True)
    ids = pl.Series("id", [f"{seed}-{position}" for position in range(number)])
    job.out.write(pl.DataFrame([ids, pl.Series("vector", vector_ND, dtype=pl.Array(pl.Float16, 16))]))


rows = Step("support.shared_steps:write_rows", produces="qrels", sharded=True)
vectors = Step("support.shared_steps:write_vectors", produces="embeddings")
