"""Which judge scores the candidates: one table of judges, and one chain from raw scores to probabilities and grades."""

from collections.abc import Callable
from dataclasses import dataclass

from flows.configs import PipelineConfig
from flows.run.pipeline import Promises, each
from tasks.denoise.config import CrossEncoderConfig
from tasks.engine.step import Step
from tasks.models.chat.client import chat_identity
from tasks.models.locate import model_digest
from tasks.steps import (
    apply_calibration,
    apply_verdicts,
    calibrate_scores,
    find_features,
    fit_judge,
    fold_queries,
    judge_pairs,
    prepare_encoder,
    relabel_candidates,
    score_features,
    score_pairs,
    score_verdicts,
)


@dataclass(frozen=True)
class Judged:
    """What a judge works on, by language."""

    config: PipelineConfig
    corpus: Promises
    queries: Promises
    qrels: Promises
    fused: Promises
    """What retrieval found: judges are fitted and calibrated on it."""
    later: Promises | None
    """Candidates that came later, to be scored in place of those."""

    @property
    def candidates(self) -> Promises:
        """What is to be scored."""
        return self.later or self.fused

    @property
    def texts(self) -> dict[str, Promises]:
        """What a step takes beside candidates that reads the texts of pairs."""
        return {"queries": self.queries, "qrels": self.qrels, "corpus": self.corpus}

    def limits(self) -> dict[str, int]:
        """Return where texts are cut."""
        text = self.config.text
        return {"max_query_tokens": text.max_query_tokens, "max_document_tokens": text.max_document_tokens}


RawScores = Callable[[Judged], tuple[Promises, Promises]]
"""Promises the raw scores that calibration is fitted on, and the candidates': the same, where none came later."""


def _of_pairs(given: Judged, step: Step, **arguments: object) -> tuple[Promises, Promises]:
    """Promise what a step makes of pairs and their texts: the first candidates', and of later ones only the new."""
    shared = {**arguments, **given.limits(), "text": given.config.text.document}
    first = each(step, shared, candidates=given.fused, **given.texts)
    if given.later is None:
        return first, first
    return first, each(step, shared, known=first, candidates=given.later, **given.texts)


def _fitted(given: Judged) -> tuple[Promises, Promises]:
    # All layers of it: the judge has to know better than the retriever whose candidates it judges.
    whole = given.config.encoder.model_copy(update={"num_layers": None})
    encoder = prepare_encoder(config=whole.resolved(), digest=model_digest(whole.model))
    features, later_features = _of_pairs(given, find_features, encoder=encoder, dtype=given.config.encoder.dtype)
    folds = fold_queries(queries=given.queries, qrels=given.qrels)
    judge_model = fit_judge(
        folds=folds,
        features=features,
        fused=given.fused,
        qrels=given.qrels,
        presumed_ranks=given.config.denoise.presumed_ranks,
    )
    fitted = {"folds": folds, "judge_model": judge_model}
    first = each(score_features, fitted, features=features)
    if given.later is None:
        return first, first
    return first, each(score_features, fitted, features=later_features, pool=features)


def _cross_encoder(given: Judged) -> tuple[Promises, Promises]:
    name = given.config.denoise.cross_encoder or ""
    config = CrossEncoderConfig(model=name, dtype=given.config.denoise.cross_encoder_dtype)
    return _of_pairs(given, score_pairs, cross_encoder=config, digest=model_digest(name))


def _llm(given: Judged) -> tuple[Promises, Promises]:
    def scored(candidates: Promises) -> Promises:
        return each(score_verdicts, {"vote": given.config.denoise.llm.vote}, verdicts=_ask(given, candidates))

    first = scored(given.fused)
    return first, first if given.later is None else scored(given.later)


def _cascade(given: Judged) -> tuple[Promises, Promises]:
    """Its first judge: the cross-encoder where one is named, else the fitted one."""
    return (_cross_encoder if given.config.denoise.cross_encoder else _fitted)(given)


JUDGES: dict[str, RawScores] = {
    "fitted": _fitted,
    "cross_encoder": _cross_encoder,
    "llm": _llm,
    "cascade": _cascade,
}


def judge(
    config: PipelineConfig,
    corpus: Promises,
    queries: Promises,
    qrels: Promises,
    fused: Promises,
    later: Promises | None = None,
) -> Promises:
    """Promise the scores of every candidate and judged document, by the configured judge.

    Args:
        config: all settings.
        corpus: by language, as the others.
        queries: the train queries.
        qrels: what people judged.
        fused: the candidates that retrieval found.
        later: candidates of the same queries that came later, to be scored in their place by the same judge: nothing is
            fitted or calibrated anew. Judged documents may have scores here too, the same as without it.
    """
    given, settings = Judged(config, corpus, queries, qrels, fused, later), config.denoise
    first, raw_scores = JUDGES[settings.judge](given)
    calibration = calibrate_scores(
        raw_scores=first, fused=fused, qrels=qrels, prior=settings.prior, presumed_ranks=settings.presumed_ranks
    )
    calibrated = {"calibration": calibration, "grade_cuts": settings.grade_cuts}
    scores = each(apply_calibration, calibrated, raw_scores=raw_scores)
    if settings.judge not in ("llm", "cascade"):
        return scores
    verdicts = _ask(given, given.candidates, scores if settings.judge == "cascade" else None)
    return each(apply_verdicts, {"vote": settings.llm.vote}, scores=scores, verdicts=verdicts)


def relabel(config: PipelineConfig, qrels: Promises, hard_negatives: Promises) -> Promises:
    """Promise the judgements to train on: the given ones, or with what the judge finds highly relevant."""
    if not config.denoise.relabel:
        return qrels
    return each(relabel_candidates, qrels=qrels, hard_negatives=hard_negatives)


def _ask(given: Judged, candidates: Promises, scores: Promises | None = None) -> Promises:
    """Ask the LLM about all pairs, or where there are `scores` about those in the band."""
    settings = given.config.denoise
    shared = {
        "llm": settings.llm.asked,
        "identity": chat_identity(settings.llm.chat),
        "num_samples": settings.llm.num_samples,
        "max_document_characters": settings.llm.max_document_characters,
        "text": given.config.text.document,
        "band": settings.band if scores else None,
    }
    if scores is None:
        return each(judge_pairs, {**shared, "scores": None}, candidates=candidates, **given.texts)
    return each(judge_pairs, shared, candidates=candidates, scores=scores, **given.texts)
