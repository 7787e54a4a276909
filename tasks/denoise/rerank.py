"""Score pairs of a shard of queries, each with the judge that has not seen the query."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.models.cross_encoder import CrossEncoder, find_cosines

_DECIMALS = 3  # finer differences depend on the batch size and the machine


class Judge(Protocol):
    """What scores pairs of texts: `CrossEncoder`, `PairClassifier`."""

    def score_pairs(
        self,
        pairs: list[tuple[str, str]],
        *,
        max_query_tokens: int,
        max_document_tokens: int,
        batch_tokens: int,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return one score per pair."""


def score_with_folds(
    pairs: pl.DataFrame,
    judges: Mapping[int, CrossEncoder],
    *,
    max_query_tokens: int,
    max_document_tokens: int,
    batch_tokens: int,
    progress: Callable[[int], None],
) -> pl.DataFrame:
    """Score each pair with the model of its query's fold, which was trained without the fold.

    Args:
        pairs: query_id, doc_id, query, document, fold.
        judges: fold -> model; all of them started from one encoder.
        max_query_tokens: queries are cut to this.
        max_document_tokens: documents are cut to this.
        batch_tokens: tokens per batch, padding included.
        progress: called with the number of pairs done since its last call.

    Returns:
        query_id, doc_id, judge, raw (float32), sorted by query_id and doc_id.

    Raises:
        ValueError: a fold has no model.
    """
    lost = sorted(set(pairs["fold"]) - set(judges))
    if lost:
        raise ValueError(
            f"denoise: expected a model for every fold, got none for {lost} of {sorted(judges)}. "
            "Score with the num_folds that the models were fitted with."
        )
    limits = {"max_query_tokens": max_query_tokens, "max_document_tokens": max_document_tokens}
    texts = list(pairs.select("query", "document").iter_rows())
    raw_N = np.empty(len(texts), dtype=np.float32)
    folds = pairs["fold"].to_numpy()
    encoder = next(iter(judges.values())).encoder
    cosine_N = find_cosines(encoder, texts, batch_tokens=batch_tokens, **limits)
    for fold, judge in sorted(judges.items()):
        own = np.flatnonzero(folds == fold)
        raw_N[own] = judge.score_pairs(
            [texts[row] for row in own], batch_tokens=batch_tokens, cosines=cosine_N[own], progress=progress, **limits
        )
    names = pl.format("fold-{}", "fold")
    return _scores(pairs.with_columns(judge=names), raw_N)


def score_with_judge(
    pairs: pl.DataFrame,
    judge: Judge,
    *,
    max_query_tokens: int,
    max_document_tokens: int,
    batch_tokens: int,
    progress: Callable[[int], None],
) -> pl.DataFrame:
    """Score all pairs with one ready model; arguments and result as `score_with_folds`', without folds."""
    raw_N = judge.score_pairs(
        list(pairs.select("query", "document").iter_rows()),
        max_query_tokens=max_query_tokens,
        max_document_tokens=max_document_tokens,
        batch_tokens=batch_tokens,
        progress=progress,
    )
    return _scores(pairs.with_columns(judge=pl.lit("ready")), raw_N)


def _scores(pairs: pl.DataFrame, raw_N: NDArray[np.float32]) -> pl.DataFrame:
    raw = pl.Series("raw", raw_N.astype(np.float64).round(_DECIMALS), dtype=pl.Float64).cast(pl.Float32)
    return pairs.select("query_id", "doc_id", "judge").with_columns(raw).sort("query_id", "doc_id")
