"""Third stage, a ready cross-encoder as the judge: pairs -> raw scores."""

import functools
from collections.abc import Callable

import numpy as np
import polars as pl

from storage import DatasetRef
from tasks.denoise.config import CrossEncoderConfig
from tasks.denoise.pairs import PAIR
from tasks.denoise.pairs_task import PairTexts, write_rows
from tasks.engine.job import Job
from tasks.models.backbone import DTYPES
from tasks.models.encoder import forget_encoder
from tasks.models.locate import locate_model
from tasks.models.pair_classifier import PairClassifier

_JUDGE = "cross_encoder"
_DECIMALS = 3  # finer differences depend on the batch size and the machine
_SCHEMA = pl.Schema(
    {"query_id": pl.String, "doc_id": pl.String, "judge": pl.String, "raw": pl.Float32, "without_reference": pl.Boolean}
)


def score_pairs(
    job: Job,
    *,
    candidates: DatasetRef,
    queries: DatasetRef,
    qrels: DatasetRef,
    corpus: DatasetRef,
    text: str,
    max_query_tokens: int,
    max_document_tokens: int,
    cross_encoder: CrossEncoderConfig,
    digest: str,
    known: DatasetRef | None = None,
) -> None:
    """Score the train queries' candidates and judged documents. `digest` is of the cross-encoder's bytes."""

    @functools.cache
    def open_classifier() -> PairClassifier:
        forget_encoder()  # one network at a time is in memory
        place = locate_model(cross_encoder.model)
        if not place.is_dir():
            raise ValueError(
                f"cross-encoder {cross_encoder.model!r}: expected a folder or a hub id, got a bundled encoder. "
                "Leave denoise.cross_encoder empty: denoise.judge fitted makes a judge of the encoder."
            )
        return PairClassifier.load(place, device=job.device, dtype=DTYPES[cross_encoder.dtype])

    def compute(pairs: pl.DataFrame, progress: Callable[[int], None]) -> pl.DataFrame:
        texts = list(pairs.select("query", "document").iter_rows())
        raw_N = open_classifier().score_pairs(
            texts,
            max_query_tokens=max_query_tokens,
            max_document_tokens=max_document_tokens,
            batch_tokens=job.batch_tokens,
            progress=progress,
        )
        raw = pl.Series(raw_N.astype(np.float64).round(_DECIMALS), dtype=pl.Float32)
        return pairs.select(*PAIR, judge=pl.lit(_JUDGE), raw=raw, without_reference=pl.lit(False)).sort(PAIR)

    write_rows(
        job,
        PairTexts(candidates, queries, qrels, corpus, text, known),
        schema=_SCHEMA,
        compute=compute,
    )
