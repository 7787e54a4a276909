"""Which judge scores the candidates: the cross-encoder, an LLM, or the LLM where the cross-encoder is not sure."""

from typing import Any

from flows.configs import PipelineConfig
from flows.pipeline import Steps
from tasks.denoise.fit_task import fit_cross_encoder
from tasks.denoise.judge_task import apply_verdicts, judge_pairs, score_verdicts
from tasks.denoise.score_task import score_candidates
from tasks.denoise.supplement_task import score_new_candidates
from tasks.denoise.task import apply_calibration, calibrate_scores, relabel_candidates
from tasks.encoder.task import prepare_encoder
from tasks.models.chat_identity import chat_identity
from tasks.models.digest import model_digest
from tasks.stage import Step


def judge(config: PipelineConfig, corpus: Steps, queries: Steps, qrels: Steps, fused: Steps) -> Steps:
    """Promise the scores of every candidate and judged document, by the configured judge."""
    raw_scores, calibration = _first_scores(config, corpus, queries, qrels, fused)
    return _decide(config, corpus, queries, qrels, fused, _calibrate(config, raw_scores, calibration))


def judge_new(
    config: PipelineConfig, corpus: Steps, queries: Steps, qrels: Steps, fused: Steps, new_candidates: Steps
) -> Steps:
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
                text=config.retrieve.embed.text,
                config=config.denoise.rerank,
                **cross_encoder,
            )
            for language, rows in new_candidates.items()
        }
    return _decide(config, corpus, queries, qrels, new_candidates, _calibrate(config, raw_scores, calibration))


def _first_scores(
    config: PipelineConfig, corpus: Steps, queries: Steps, qrels: Steps, fused: Steps
) -> tuple[Steps, Step]:
    """Score what retrieval found, and fit the calibration on it."""
    if config.denoise.judge == "llm":
        raw_scores = _count(config, _ask(config, corpus, queries, qrels, fused))
    else:
        raw_scores = _rerank(config, corpus, queries, qrels, fused)
    return raw_scores, calibrate_scores(
        raw_scores=raw_scores, fused=fused, qrels=qrels, config=config.denoise.calibrate
    )


def _decide(
    config: PipelineConfig, corpus: Steps, queries: Steps, qrels: Steps, candidates: Steps, scores: Steps
) -> Steps:
    """Let the LLM's verdicts, if it is asked at all, take the place of the grades."""
    settings = config.denoise
    if settings.judge == "cross_encoder":
        return scores
    verdicts = _ask(config, corpus, queries, qrels, candidates, scores if settings.judge == "cascade" else None)
    return {
        language: apply_verdicts(language, scores=found, verdicts=verdicts[language], config=settings.llm.votes)
        for language, found in scores.items()
    }


def _count(config: PipelineConfig, verdicts: Steps) -> Steps:
    return {
        language: score_verdicts(language, verdicts=found, config=config.denoise.llm.votes)
        for language, found in verdicts.items()
    }


def relabel(config: PipelineConfig, qrels: Steps, hard_negatives: Steps) -> Steps:
    """Promise the judgements to train on: the given ones, or with what the judge finds highly relevant."""
    if not config.denoise.relabel:
        return qrels
    return {
        language: relabel_candidates(language, qrels=found, hard_negatives=hard_negatives[language])
        for language, found in qrels.items()
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


def _calibrate(config: PipelineConfig, raw_scores: Steps, calibration: Step) -> Steps:
    return {
        language: apply_calibration(
            language, language=language, raw_scores=found, calibration=calibration, config=config.denoise.grade
        )
        for language, found in raw_scores.items()
    }


def _rerank(config: PipelineConfig, corpus: Steps, queries: Steps, qrels: Steps, fused: Steps) -> Steps:
    cross_encoder = _cross_encoder(config, corpus, queries, qrels, fused)
    return {
        language: score_candidates(
            language,
            fused=fused[language],
            queries=queries[language],
            qrels=qrels[language],
            corpus=corpus[language],
            text=config.retrieve.embed.text,
            config=config.denoise.rerank,
            **cross_encoder,
        )
        for language in corpus
    }


def _cross_encoder(config: PipelineConfig, corpus: Steps, queries: Steps, qrels: Steps, fused: Steps) -> dict[str, Any]:
    """Name the configured cross-encoder, or have one trained from the encoder; as the scoring stages take it."""
    settings, text = config.denoise, config.retrieve.embed.text
    if settings.cross_encoder:
        return {"ready": settings.ready, "digest": model_digest(settings.cross_encoder)}
    # All layers of it: the judge has to know better than the retriever whose candidates it judges.
    whole = config.encoder.model_copy(update={"num_layers": settings.num_layers})
    encoder = prepare_encoder(config=whole, digest=model_digest(whole.model))
    cross_encoder = fit_cross_encoder(
        encoder=encoder, fused=fused, queries=queries, qrels=qrels, corpus=corpus, text=text, config=settings.fit
    )
    return {"encoder": encoder, "cross_encoder": cross_encoder, "fit_config": settings.fit}
