"""Third stage, scoring: fused candidates and judged documents -> one raw score each."""

import math
from collections.abc import Callable
from typing import Any

import polars as pl

from storage import DatasetRef, folder, read, scan
from tasks.denoise import folds, inputs, pairs, rerank
from tasks.denoise.config import FitConfig, ReadyConfig, ScoreConfig
from tasks.denoise.newly import newly
from tasks.engine.job import Job
from tasks.models import encoder as encoders
from tasks.models import evidence_model as evidence_models
from tasks.models import pair_classifier as classifiers
from tasks.models import top_layers


def score_candidates(
    job: Job,
    *,
    fused: DatasetRef,
    queries: DatasetRef,
    qrels: DatasetRef,
    corpus: DatasetRef,
    text: str,
    config: ScoreConfig,
    encoder: DatasetRef | None = None,
    cross_encoder: DatasetRef | None = None,
    fit_config: FitConfig | None = None,
    ready: ReadyConfig | None = None,
    digest: str | None = None,
) -> None:
    """Score the train queries' candidates and judged documents, each query by a model that has not seen it.

    Give either `encoder`, `cross_encoder` and `fit_config`, or `ready` and its `digest`.
    """
    wanted = inputs.train_queries(scan(queries))
    judged = read(qrels)
    table = pairs.with_relevance(pairs.pairs_to_score(read(fused), judged, wanted["query_id"]), judged)
    shards = math.ceil(len(wanted) / config.shard_queries)
    missing = job.out.missing(shards)
    if not missing:
        return
    judge = open_judge(job, config, encoder, cross_encoder, fit_config, ready)
    with newly(job, len(table), "pairs") as advance:
        for shard in range(shards):
            own = wanted.slice(shard * config.shard_queries, config.shard_queries)
            rows = table.join(own.select("query_id"), on="query_id", how="semi")
            if shard not in missing:
                advance(len(rows))
                continue
            filled = pairs.with_texts(rows, own, inputs.documents(scan(corpus), rows, text=text))
            job.out.write(judge(filled, advance), shard=shard)


def open_judge(
    job: Job,
    config: ScoreConfig,
    encoder: DatasetRef | None,
    cross_encoder: DatasetRef | None,
    fit_config: FitConfig | None,
    ready: ReadyConfig | None,
) -> Callable[[pl.DataFrame, Callable[[int], None]], pl.DataFrame]:
    """Load what scores: the ready cross-encoder, or one model per fold; see `rerank` for the rows it takes."""
    limits: dict[str, Any] = {
        "max_query_tokens": config.max_query_tokens,
        "max_document_tokens": config.max_document_tokens,
        "batch_tokens": job.batch_tokens,
    }
    if ready is not None and ready.cross_encoder is not None:
        encoders.forget_encoder()
        model = classifiers.PairClassifier.load(ready.cross_encoder, device=job.device)
        return lambda rows, advance: rerank.score_with_judge(rows, model, progress=advance, **limits)
    if encoder is None or cross_encoder is None or fit_config is None:
        raise ValueError(
            "score_candidates: expected either a ready cross-encoder or encoder, cross_encoder and fit_config, got "
            "neither. Configure denoise.cross_encoder, or fit one."
        )
    base = encoders.shared_encoder(folder(encoder) / "model", job.device)
    parts = {fold: folder(cross_encoder) / f"fold-{fold}" for fold in range(fit_config.num_folds)}
    models = {fold: evidence_models.EvidenceModel.load(part) for fold, part in parts.items()}
    layers = {fold: top_layers.load_layers(base, part) for fold, part in parts.items()}
    tuned = {fold: own for fold, own in layers.items() if own is not None}
    num_folds, seed = fit_config.num_folds, fit_config.seed
    return lambda rows, advance: rerank.score_with_folds(
        folds.with_folds(rows, num_folds=num_folds, seed=seed), models, base, tuned=tuned, progress=advance, **limits
    )
