"""Score pairs of a shard of queries, each with the judge that has not seen the query."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import nn

from tasks.denoise.closeness import find_closeness
from tasks.denoise.gather import gather_evidence
from tasks.denoise.pairs import ALONE
from tasks.denoise.tensors import to_tensors
from tasks.models.encoder import Encoder
from tasks.models.evidence_model import EvidenceModel
from tasks.models.top_layers import put_in

_CLOSENESS = 0.4  # weight of what the tuned layers say: decisions/0015
_DECIMALS = 3  # finer differences depend on the batch size and the machine


class Judge(Protocol):
    """What scores pairs of texts without training: `PairClassifier`."""

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
    models: Mapping[int, EvidenceModel],
    encoder: Encoder,
    *,
    tuned: Mapping[int, nn.ModuleList] | None = None,
    max_query_tokens: int,
    max_document_tokens: int,
    batch_tokens: int,
    progress: Callable[[int], None],
) -> pl.DataFrame:
    """Score each pair with the model of its query's fold, which was trained without the fold.

    Args:
        pairs: query_id, doc_id, query, document, fold, and relevance (null = not judged): a pair is compared with the
            other relevant documents of its query, and with the rest of its query's pairs, so give these together.
            Without the column `relevance` every pair is judged without a reference; with `in_pool`, only pairs where it
            is true are what others are compared with.
        models: fold -> model.
        encoder: that the models were fitted with.
        tuned: fold -> the encoder's last layers, tuned without the fold; none where too few queries could teach them.
        max_query_tokens: queries are cut to this.
        max_document_tokens: documents are cut to this.
        batch_tokens: tokens per batch, padding included.
        progress: called with the number of pairs done since its last call.

    Returns:
        query_id, doc_id, judge, raw (float32), sorted by query_id and doc_id.

    Raises:
        ValueError: a fold has no model.
    """
    lost = sorted(set(pairs["fold"]) - set(models))
    if lost:
        raise ValueError(
            f"denoise: expected a model for every fold, got none for {lost} of {sorted(models)}. "
            "Score with the num_folds that the models were fitted with."
        )
    if pairs.is_empty():
        return _scores(pairs.with_columns(judge=pl.lit("")), np.empty(0, dtype=np.float32))
    if "relevance" not in pairs.columns:
        pairs = pairs.with_columns(relevance=pl.lit(None, dtype=pl.Int32))
    if "in_pool" not in pairs.columns:
        pairs = pairs.with_columns(in_pool=pl.lit(True))
    limits = {
        "max_query_tokens": max_query_tokens,
        "max_document_tokens": max_document_tokens,
        "batch_tokens": batch_tokens,
    }
    evidence = gather_evidence(pairs, encoder, progress=progress, **limits)
    folds_N = pairs["fold"].to_numpy()
    raw_N = np.empty(len(pairs), dtype=np.float32)
    alone_N = np.zeros(len(pairs), dtype=bool)
    for fold, model in sorted(models.items()):
        own = np.flatnonzero(folds_N == fold)
        raw_N[own] = model.score(**to_tensors(evidence.take(own))).numpy()
        if tuned and len(own):
            with put_in(encoder, tuned[fold]):
                raw_N[own] += _CLOSENESS * find_closeness(pairs[own], encoder, **limits)
        alone_N[own] = ~evidence.has_reference_N[own] & (model.reference is not None)
    ending = pl.when(pl.Series(alone_N)).then(pl.lit(ALONE)).otherwise(pl.lit(""))
    return _scores(pairs.with_columns(judge=pl.format("fold-{}{}", "fold", ending)), raw_N)


def score_beside(
    pairs: pl.DataFrame, pool: pl.DataFrame | None, score: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """Score pairs among the known pairs of their queries, which they do not change.

    Args:
        pairs: query_id, doc_id, query, document.
        pool: the same and relevance, of these and other queries; none for a judge that reads each pair by itself.
        score: rows -> query_id, doc_id, judge, raw.

    Returns:
        The scores of `pairs` alone.
    """
    if pool is None:
        return score(pairs)
    own = pool.join(pairs.select("query_id").unique(), on="query_id", how="semi").with_columns(in_pool=pl.lit(True))
    new = pairs.with_columns(relevance=pl.lit(None, dtype=pl.Int32), in_pool=pl.lit(False)).select(own.columns)
    return score(pl.concat([own, new])).join(pairs, on=["query_id", "doc_id"], how="semi")


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
