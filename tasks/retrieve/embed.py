"""Texts into vectors."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.models.encoder import Encoder
from tasks.models.layout import Role


def embed_shards(
    shards: Iterable[pl.DataFrame],
    *,
    encoder: Encoder,
    role: Role,
    max_tokens: int,
    batch_tokens: int,
    progress: Callable[[int], None],
    ahead: bool | None = None,
) -> Iterator[pl.DataFrame]:
    """Embed texts, shard by shard; a GPU has the next one read and tokenized while it computes.

    Args:
        shards: id (query_id or doc_id), text; may be a generator.
        encoder: gives unit vectors.
        role: whose prompt goes before a text.
        max_tokens: texts are cut here, special tokens included.
        batch_tokens: tokens per inference batch, padding included.
        progress: is told how many texts are newly done.
        ahead: as `Encoder.embed_each` takes it.

    Yields:
        embeddings: id, vector (float16), in the order given.

    Raises:
        RuntimeError: the encoder gave a number that is none (NaN or infinite).
    """
    ids: deque[pl.Series] = deque()  # of shards that are read but not embedded

    def texts() -> Iterator[list[str]]:
        for shard in shards:
            ids.append(shard["id"])
            yield shard["text"].to_list()

    settings: dict[str, Any] = {"role": role, "max_tokens": max_tokens, "batch_tokens": batch_tokens}
    for vector_ND in encoder.embed_each(texts(), **settings, progress=progress, ahead=ahead):
        yield _embeddings(ids.popleft(), vector_ND)


def _embeddings(ids: pl.Series, vector_ND: NDArray[np.float32]) -> pl.DataFrame:
    broken = ~np.isfinite(vector_ND).all(axis=1)
    if broken.any():
        first = ids[int(np.flatnonzero(broken)[0])]
        raise RuntimeError(
            f"embed: expected finite vectors, got {int(broken.sum())} that are not, the first for '{first}'. "
            "The encoder's weights are damaged, or it diverged in training: lower the learning rate."
        )
    half_ND = vector_ND.astype(np.float16)
    vector = pl.Series("vector", half_ND, dtype=pl.Array(pl.Float16, half_ND.shape[1]))
    return pl.DataFrame([ids.cast(pl.String).alias("id"), vector])
