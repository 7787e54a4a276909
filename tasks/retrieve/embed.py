"""Texts into vectors."""

from collections.abc import Callable

import numpy as np
import polars as pl

from tasks.models.encoder import Encoder
from tasks.models.layout import Role


def embed_texts(
    ids: pl.Series,
    texts: pl.Series,
    *,
    encoder: Encoder,
    role: Role,
    max_tokens: int,
    batch_tokens: int,
    progress: Callable[[int], None],
) -> pl.DataFrame:
    """Embed texts.

    Args:
        ids: query_id or doc_id of each text.
        texts: queries, or documents' texts.
        encoder: gives unit vectors.
        role: whose prompt goes before a text.
        max_tokens: texts are cut here, special tokens included.
        batch_tokens: tokens per inference batch, padding included.
        progress: is told how many texts are newly done.

    Returns:
        embeddings: id, vector (float16), in the order given.

    Raises:
        RuntimeError: the encoder gave a number that is none (NaN or infinite).
    """
    vector_ND = encoder.embed(
        texts.to_list(), role=role, max_tokens=max_tokens, batch_tokens=batch_tokens, progress=progress
    )
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
