"""Which judge scores the candidates: the cross-encoder, an LLM, or the LLM where the cross-encoder is not sure."""

from typing import Any

from flows.configs import PipelineConfig
from flows.run.pipeline import Promises
from tasks.engine.step import Promise
from tasks.models.chat.client import chat_identity
from tasks.models.locate import model_digest
from tasks.steps import (
    apply_calibration,
    apply_verdicts,
    calibrate_scores,
    fit_cross_encoder,
    judge_pairs,
    prepare_encoder,
    relabel_candidates,
    score_candidates,
    score_new_candidates,
    score_verdicts,
)


def judge(config: PipelineConfig, corpus: Promises, queries: Promises, qrels: Promises, fused: Promises) -> Promises:
    """Promise the scores of every candidate and judged document, by the configured judge."""
    raw_scores, calibration = _first_scores(config, corpus, queries, qrels, fused)
    return _decide(config, corpus, queries, qrels, fused, _calibrate(config, raw_scores, calibration))


def judge_new(
    config: PipelineConfig,
    corpus: Promises,
    queries: Promises,
    qrels: Promises,
    fused: Promises,
    new_candidates: Promises,
) -> Promises:
    """Promise the scores of candidates that came later, by the same judge: nothing is fitted or calibrated anew.

    Judged documents may have scores here too, the same as `judge` gives them.
    """
    known, calibration = _first_scores(config, corpus, queries, qrels, fused)
    if config.denoise.judge == "llm":
        raw_scores = _count(config, _ask(config, corpus, queries, qrels, new_candidates))
    else:
        cross_encoder = _cross_encoder(config, corpus, queries, qrels, fused)
        raw_scores = {
            language: score_new_candidates(
                language,
                new_candidates=rows,
                known=known[language],
                queries=queries[language],
                qrels=qrels[language],
                corpus=corpus[language],
                text=config.text.document,
                config=config.denoise.rerank,
                **cross_encoder,
            )
            for language, rows in new_candidates.items()
        }
    return _decide(config, corpus, queries, qrels, new_candidates, _calibrate(config, raw_scores, calibration))


def _first_scores(
    config: PipelineConfig, corpus: Promises, queries: Promises, qrels: Promises, fused: Promises
) -> tuple[Promises, Promise]:
    """Score what retrieval found, and fit the calibration on it."""
    if config.denoise.judge == "llm":
        raw_scores = _count(config, _ask(config, corpus, queries, qrels, fused))
    else:
        raw_scores = _rerank(config, corpus, queries, qrels, fused)
    return raw_scores, calibrate_scores(
        raw_scores=raw_scores, fused=fused, qrels=qrels, config=config.denoise.calibrate
    )


def _decide(
    config: PipelineConfig, corpus: Promises, queries: Promises, qrels: Promises, candidates: Promises, scores: Promises
) -> Promises:
    """Let the LLM's verdicts, if it is asked at all, take the place of the grades."""
    settings = config.denoise
    if settings.judge == "cross_encoder":
        return scores
    verdicts = _ask(config, corpus, queries, qrels, candidates, scores if settings.judge == "cascade" else None)
    return {
        language: apply_verdicts(language, scores=found, verdicts=verdicts[language], config=settings.llm.votes)
        for language, found in scores.items()
    }


def _count(config: PipelineConfig, verdicts: Promises) -> Promises:
    return {
        language: score_verdicts(language, verdicts=found, config=config.denoise.llm.votes)
        for language, found in verdicts.items()
    }


def relabel(config: PipelineConfig, qrels: Promises, hard_negatives: Promises) -> Promises:
    """Promise the judgements to train on: the given ones, or with what the judge finds highly relevant."""
    if not config.denoise.relabel:
        return qrels
    return {
        language: relabel_candidates(language, qrels=found, hard_negatives=hard_negatives[language])
        for language, found in qrels.items()
    }


def _ask(
    config: PipelineConfig,
    corpus: Promises,
    queries: Promises,
    qrels: Promises,
    fused: Promises,
    scores: Promises | None = None,
) -> Promises:
    """Ask the LLM about all pairs, or where there are `scores` about those in the band."""
    settings = config.denoise
    identity = chat_identity(settings.llm.chat)
    return {
        language: judge_pairs(
            language,
            fused=fused[language],
            queries=queries[language],
            qrels=qrels[language],
            corpus=corpus[language],
            text=config.text.document,
            llm=settings.llm.asked,
            identity=identity,
            config=settings.llm.rubric,
            scores=scores and scores[language],
            band=scores and settings.band,
        )
        for language in corpus
    }


def _calibrate(config: PipelineConfig, raw_scores: Promises, calibration: Promise) -> Promises:
    return {
        language: apply_calibration(
            language, language=language, raw_scores=found, calibration=calibration, config=config.denoise.grade
        )
        for language, found in raw_scores.items()
    }


def _rerank(config: PipelineConfig, corpus: Promises, queries: Promises, qrels: Promises, fused: Promises) -> Promises:
    cross_encoder = _cross_encoder(config, corpus, queries, qrels, fused)
    return {
        language: score_candidates(
            language,
            fused=fused[language],
            queries=queries[language],
            qrels=qrels[language],
            corpus=corpus[language],
            text=config.text.document,
            config=config.denoise.rerank,
            **cross_encoder,
        )
        for language in corpus
    }


def _cross_encoder(
    config: PipelineConfig, corpus: Promises, queries: Promises, qrels: Promises, fused: Promises
) -> dict[str, Any]:
    """Name the configured cross-encoder, or have one trained from the encoder; as the scoring stages take it."""
    settings, text = config.denoise, config.text.document
    if settings.cross_encoder:
        return {"ready": settings.ready, "digest": model_digest(settings.cross_encoder)}
    # All layers of it: the judge has to know better than the retriever whose candidates it judges.
    whole = config.encoder.model_copy(update={"num_layers": settings.num_layers})
    encoder = prepare_encoder(config=whole, digest=model_digest(whole.model))
    cross_encoder = fit_cross_encoder(
        encoder=encoder, fused=fused, queries=queries, qrels=qrels, corpus=corpus, text=text, config=settings.fit
    )
    return {"encoder": encoder, "cross_encoder": cross_encoder, "fit_config": settings.fit}
