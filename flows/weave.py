"""The pipeline as a table of contents: one call per stage, top to bottom. Nothing runs here."""

from pathlib import Path
from typing import Any

from flows.configs import PipelineConfig
from flows.pipeline import Pipeline
from flows.retrieval import (
    MEASURED,
    MINED,
    Steps,
    embed_corpora,
    fuse,
    rank_by_ensemble,
    rank_by_terms,
    rank_by_vectors,
)
from storage import checksum, remembered
from tasks.denoise.task import (
    apply_calibration,
    calibrate_scores,
    fit_cross_encoder,
    score_candidates,
    select_hard_negatives,
)
from tasks.encoder.task import prepare_encoder
from tasks.evaluate.task import make_run, measure_runs
from tasks.ingest.steps import Ingested, ingest
from tasks.models.digest import model_digest
from tasks.plan_batches.task import find_topics, plan_batches
from tasks.stage import Step
from tasks.train.task import train_encoder


def weave(config: PipelineConfig) -> Pipeline:
    """Promise every dataset of a configuration; reads nothing but new input files, for their digests.

    Raises:
        ValueError: the settings contradict each other.
        FileNotFoundError: they name files that are not there.
    """
    with remembered() as memo:
        ingested: dict[str, Ingested] = {
            language: ingest(config.ingest, language, memo) for language in config.languages
        }
    corpus = {language: found.corpus for language, found in ingested.items()}
    queries = {language: found.queries for language, found in ingested.items()}
    qrels = {language: found.qrels for language, found in ingested.items()}
    aside = [step for found in ingested.values() for step in (found.truth, found.quarantine) if step]

    encoder = prepare_encoder(config=config.encoder, digest=model_digest(config.encoder.model))
    bm25 = rank_by_terms(config, corpus, queries)
    embeddings = embed_corpora(config, encoder, corpus)
    untrained = rank_by_vectors(config, encoder, embeddings, queries, "untrained", (*MINED, *MEASURED))
    ensemble = rank_by_ensemble(config, corpus, queries)
    fused = fuse(config, queries, {"bm25": bm25, "untrained": untrained, **ensemble})

    raw_scores = _judge(config, corpus, queries, qrels, fused)
    calibration = calibrate_scores(raw_scores=raw_scores, fused=fused, qrels=qrels, config=config.denoise.calibrate)
    hard_negatives = {
        language: select_hard_negatives(
            language,
            fused=fused[language],
            scores=apply_calibration(
                language,
                language=language,
                raw_scores=raw_scores[language],
                calibration=calibration,
                config=config.denoise.grade,
            ),
            qrels=qrels[language],
            queries=queries[language],
            config=config.denoise.select,
        )
        for language in corpus
    }

    topics = find_topics(
        embeddings=embeddings,
        corpus=corpus,
        queries=queries,
        qrels=qrels,
        config=config.plan_batches.topics,
        models=tuple(checksum(Path(path)) for path in config.plan_batches.topics.model_files),
    )
    batch_plan = plan_batches(
        hard_negatives=hard_negatives, queries=queries, qrels=qrels, topics=topics, config=config.plan_batches
    )
    trained_encoder = train_encoder(
        batch_plan=batch_plan,
        queries=queries,
        corpus=corpus,
        encoder=encoder,
        text=config.retrieve.embed.text,
        config=config.train,
    )
    trained_embeddings = embed_corpora(config, trained_encoder, corpus)
    trained = rank_by_vectors(config, trained_encoder, trained_embeddings, queries, "trained", MEASURED)

    metrics = {
        system: _measure(config, candidates, queries, qrels, system)
        for system, candidates in {"bm25": bm25, "untrained": untrained, "trained": trained}.items()
    }
    return Pipeline.weave(
        {
            "ingest": [*corpus.values(), *queries.values(), *qrels.values(), *aside],
            "retrieve": [encoder, *bm25.values(), *untrained.values(), *fused.values()],
            "denoise": [*raw_scores.values(), *hard_negatives.values()],
            "plan_batches": [topics, batch_plan],
            "train": [trained_encoder],
            "evaluate": list(metrics.values()),
        },
        metrics=list(metrics.values()),
    )


def _judge(config: PipelineConfig, corpus: Steps, queries: Steps, qrels: Steps, fused: Steps) -> Steps:
    """Score the candidates with the configured cross-encoder, or with one that is trained here from the encoder."""
    settings, text = config.denoise, config.retrieve.embed.text
    if settings.cross_encoder:
        judge: dict[str, Any] = {"ready": settings.ready, "digest": model_digest(settings.cross_encoder)}
    else:
        # All layers of it: the judge has to know better than the retriever whose candidates it judges.
        whole = config.encoder.model_copy(update={"num_layers": settings.num_layers})
        encoder = prepare_encoder(config=whole, digest=model_digest(whole.model))
        cross_encoder = fit_cross_encoder(
            encoder=encoder, fused=fused, queries=queries, qrels=qrels, corpus=corpus, text=text, config=settings.fit
        )
        judge = {"encoder": encoder, "cross_encoder": cross_encoder, "fit_config": settings.fit}
    return {
        language: score_candidates(
            language,
            fused=fused[language],
            queries=queries[language],
            qrels=qrels[language],
            corpus=corpus[language],
            text=text,
            config=settings.rerank,
            **judge,
        )
        for language in corpus
    }


def _measure(config: PipelineConfig, candidates: Steps, queries: Steps, qrels: Steps, system: str) -> Step:
    runs = {
        language: make_run(
            language, candidates=found, queries=queries[language], system=system, depth=config.evaluate.depth
        )
        for language, found in candidates.items()
    }
    return measure_runs(runs=runs, qrels=qrels, queries=queries, system=system, metrics=config.evaluate.metrics)
