"""Which judge scores the candidates: the cross-encoder, an LLM, or the LLM where the cross-encoder is not sure."""

from typing import Any

from flows.configs import PipelineConfig
from tasks.denoise.fit_task import fit_cross_encoder
from tasks.denoise.judge_task import apply_verdicts, judge_pairs, score_verdicts
from tasks.denoise.score_task import score_candidates
from tasks.denoise.task import apply_calibration, calibrate_scores
from tasks.encoder.task import prepare_encoder
from tasks.models.chat_identity import chat_identity
from tasks.models.digest import model_digest
from tasks.stage import Step

Steps = dict[str, Step]  # by language


def judge(config: PipelineConfig, corpus: Steps, queries: Steps, qrels: Steps, fused: Steps) -> Steps:
    """Promise the scores of every candidate and judged document, by the configured judge."""
    settings = config.denoise
    if settings.judge == "llm":
        verdicts = _ask(config, corpus, queries, qrels, fused)
        raw_scores = {
            language: score_verdicts(language, verdicts=found, config=settings.llm.votes)
            for language, found in verdicts.items()
        }
    else:
        raw_scores = _rerank(config, corpus, queries, qrels, fused)
    scores = _calibrate(config, raw_scores, fused, qrels)
    if settings.judge == "cross_encoder":
        return scores
    if settings.judge == "cascade":
        verdicts = _ask(config, corpus, queries, qrels, fused, scores)
    return {
        language: apply_verdicts(language, scores=found, verdicts=verdicts[language], config=settings.llm.votes)
        for language, found in scores.items()
    }


def _ask(
    config: PipelineConfig, corpus: Steps, queries: Steps, qrels: Steps, fused: Steps, scores: Steps | None = None
) -> Steps:
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
            text=config.retrieve.embed.text,
            llm=settings.llm.asked,
            identity=identity,
            config=settings.llm.rubric,
            scores=scores and scores[language],
            band=scores and settings.band,
        )
        for language in corpus
    }


def _calibrate(config: PipelineConfig, raw_scores: Steps, fused: Steps, qrels: Steps) -> Steps:
    settings = config.denoise
    calibration = calibrate_scores(raw_scores=raw_scores, fused=fused, qrels=qrels, config=settings.calibrate)
    return {
        language: apply_calibration(
            language, language=language, raw_scores=found, calibration=calibration, config=settings.grade
        )
        for language, found in raw_scores.items()
    }


def _rerank(config: PipelineConfig, corpus: Steps, queries: Steps, qrels: Steps, fused: Steps) -> Steps:
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
