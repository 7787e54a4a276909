"""The pipeline as a table of contents: one function per stage, top to bottom. Nothing runs here."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from flows.configs import PipelineConfig
from flows.ingest import Asked, Texts, ingest_dev, ingest_languages
from flows.judge import judge, relabel
from flows.retrieval import (
    check_encoders,
    embed_corpora,
    fuse,
    rank_by_ensemble,
    rank_by_systems,
    rank_by_terms,
    rank_by_vectors,
)
from flows.run.pipeline import Pipeline, Promises, each
from flows.settings_file import check_variables
from flows.supplement import Given, supplement
from flows.training_inputs import training_inputs
from storage import file_digest
from tasks.engine.step import Promise
from tasks.models.locate import hub_id, model_digest
from tasks.plan_batches.config import FastTextModels
from tasks.retrieve.config import RESERVED
from tasks.steps import (
    classify_topics,
    count_copies,
    export_model,
    find_topics,
    make_run,
    measure_runs,
    plan_batches,
    prepare_encoder,
    select_hard_negatives,
    train_encoder,
)


def weave(config: PipelineConfig, until: str | None = None) -> Pipeline:
    """Promise every dataset of a configuration; reads nothing but new input files, for their digests.

    Args:
        config: all settings.
        until: keep what this stage (or step, or kind) needs; one before evaluation needs no dev files.

    Raises:
        ValueError: the settings contradict each other, an environment variable is not set, or nothing is called
            `until`.
        FileNotFoundError: they name files that are not there.
    """
    check_variables(config)
    check_encoders(config)
    texts = ingest_languages(config.ingest, config.languages)
    encoder = prepare_encoder(config=config.encoder.resolved(), digest=model_digest(config.encoder.model))
    stages = {"ingest": [*_all(texts.corpus), *_all_asked(texts.train), *_all_asked(texts.validation), *texts.aside]}
    trained = None
    if texts.train.queries:
        before, trained = _until_trained(config, encoder, texts.trained)
        stages |= before
    try:
        dev, aside = ingest_dev(config.ingest, texts)
        metrics = _evaluate(config, texts, encoder, trained, dev)
    except FileNotFoundError:
        pipeline = Pipeline.weave(stages, metrics=[])
        if until is None or not pipeline.has(until):
            raise
        return pipeline.until(until)
    stages["ingest"] += [*_all_asked(dev), *aside]
    stages["evaluate"] = [*metrics.values(), count_copies(corpus=texts.corpus, text=config.text.document)]
    if trained:
        stages["export"] = [_export(config, trained, metrics)]
    return Pipeline.weave(stages, metrics=list(metrics.values())).until(until)


def _until_trained(config: PipelineConfig, encoder: Promise, texts: Texts) -> tuple[dict[str, list[Promise]], Promise]:
    """Promise what comes before evaluation, of the languages with train queries: by stage, and the trained model."""
    train = texts.train
    retrieved = _retrieve(config, encoder, texts)
    scores, first_ledger = _denoise(config, texts, retrieved)
    given = Given(texts.corpus, train.queries, train.qrels, scores, first_ledger)
    hard_negatives, supplemented = supplement(
        config,
        given,
        find=partial(_retrieve_again, config, texts, retrieved),
        score=partial(judge, config, texts.corpus, train.queries, train.qrels, retrieved.fused),
    )
    qrels = relabel(config, train.qrels, hard_negatives)
    topics, batch_plan = _plan_batches(config, texts, retrieved, hard_negatives, qrels)
    # What a batch plan can name: tokenized once, so that another threshold or seed tokenizes nothing.
    named = {language: [retrieved.fused[language], qrels[language]] for language in texts.corpus}
    if supplemented:
        named = {language: [*promises, hard_negatives[language]] for language, promises in named.items()}
    trained = _train(config, texts, retrieved, scores, batch_plan, named)
    stages = {
        "retrieve": [retrieved.encoder, *_all(retrieved.bm25, retrieved.untrained, retrieved.fused)],
        "denoise": _all(scores, first_ledger),
        "supplement": supplemented,
        "plan_batches": [topics, batch_plan],
        "train": [trained],
    }
    return stages, trained


def _export(config: PipelineConfig, trained: Promise, metrics: dict[str, Promise]) -> Promise:
    base_model, own = hub_id(config.encoder.model), {system: metrics[system] for system in RESERVED}
    return export_model(trained=trained, metrics=own, name=config.name, base_model=base_model)


def _all(*by_language: Promises) -> list[Promise]:
    return [promise for promises in by_language for promise in promises.values()]


def _all_asked(asked: Asked) -> list[Promise]:
    return _all(asked.queries, asked.qrels)


@dataclass(frozen=True)
class _Retrieved:
    """What retrieval makes for the train queries: candidates by system, and fused; and what it needs for others."""

    encoder: Promise
    embeddings: Promises
    bm25: Promises
    untrained: Promises
    fused: Promises


def _retrieve(config: PipelineConfig, encoder: Promise, texts: Texts) -> _Retrieved:
    embeddings = embed_corpora(config, encoder, texts.corpus)
    queries = texts.train.queries
    bm25 = rank_by_terms(config, texts.corpus, queries)
    untrained = rank_by_vectors(config, encoder, embeddings, queries, "untrained")
    ensemble = rank_by_ensemble(config, texts.corpus, queries)
    fused = fuse(config, queries, {"bm25": bm25, "untrained": untrained, **ensemble})
    return _Retrieved(encoder, embeddings, bm25, untrained, fused)


def _denoise(config: PipelineConfig, texts: Texts, retrieved: _Retrieved) -> tuple[Promises, Promises]:
    train = texts.train
    scores = judge(config, texts.corpus, train.queries, train.qrels, retrieved.fused)
    ledger = each(
        select_hard_negatives,
        {"text": config.text.document, "config": config.denoise.select},
        fused=retrieved.fused,
        scores=scores,
        qrels=train.qrels,
        queries=train.queries,
        corpus=texts.corpus,
    )
    return scores, ledger


def _retrieve_again(config: PipelineConfig, texts: Texts, retrieved: _Retrieved, generated: Promises) -> Promises:
    """Find candidates for generated queries, as for the given ones."""
    ranked = {
        "bm25": rank_by_terms(config, texts.corpus, generated),
        "untrained": rank_by_vectors(config, retrieved.encoder, retrieved.embeddings, generated, "untrained"),
        **rank_by_ensemble(config, texts.corpus, generated),
    }
    return fuse(config, generated, ranked)


def _plan_batches(
    config: PipelineConfig, texts: Texts, retrieved: _Retrieved, hard_negatives: Promises, qrels: Promises
) -> tuple[Promise, Promise]:
    topics = _topics(config, texts, retrieved, qrels)
    batch_plan = plan_batches(
        "all",
        hard_negatives=hard_negatives,
        queries=texts.train.queries,
        qrels=qrels,
        topics=topics,
        corpus=texts.corpus,
        text=config.text.document,
        config=config.plan_batches,
        **config.own_document_arguments(),
    )
    return topics, batch_plan


def _topics(config: PipelineConfig, texts: Texts, retrieved: _Retrieved, qrels: Promises) -> Promise:
    """Cluster the queries; or classify them, where a folder of fastText's models is named."""
    topics = config.plan_batches.topics
    given: dict[str, Any] = {"corpus": texts.corpus, "queries": texts.train.queries, "qrels": qrels}
    if isinstance(topics, int):
        return find_topics(embeddings=retrieved.embeddings, num_topics=topics, **given)
    models = FastTextModels(folder=topics)
    return classify_topics(models=models, digests=tuple(file_digest(file) for file in models.files), **given)


def _train(
    config: PipelineConfig,
    texts: Texts,
    retrieved: _Retrieved,
    scores: Promises,
    batch_plan: Promise,
    named: dict[str, list[Promise]],
) -> Promise:
    encoder = retrieved.encoder
    inputs = training_inputs(
        config,
        encoder=encoder,
        corpus=texts.corpus,
        queries=texts.train.queries,
        named=named,
        validation_queries=texts.validation.queries,
        validation_qrels=texts.validation.qrels,
        held_out=rank_by_vectors(config, encoder, retrieved.embeddings, texts.validation.queries, "untrained"),
        scores=scores,
    )
    return train_encoder(batch_plan=batch_plan, **inputs, encoder=encoder, config=config.train)


def _evaluate(
    config: PipelineConfig, texts: Texts, encoder: Promise, trained: Promise | None, dev: Asked
) -> dict[str, Promise]:
    """Measure the systems on the dev queries; by system, the trained one last."""
    encoders = {"untrained": encoder, **({"trained": trained} if trained else {})}
    candidates = {"bm25": rank_by_terms(config, texts.corpus, dev.queries)} | {
        system: rank_by_vectors(config, one, embed_corpora(config, one, texts.corpus), dev.queries, system)
        for system, one in encoders.items()
    }
    last = {system: candidates[system] for system in ("trained",) if system in candidates}
    candidates |= rank_by_systems(config, texts.corpus, dev.queries, candidates)
    candidates = {system: ranked for system, ranked in candidates.items() if system not in last} | last
    return {
        system: measure_runs(
            runs=each(make_run, {"system": system, "depth": config.evaluate.depth}, candidates=by_language),
            qrels=dev.qrels,
            queries=dev.queries,
            train_queries=texts.train.queries,
            system=system,
            metrics=config.evaluate.metrics,
            relevant_from=config.ingest.relevant_from,
        )
        for system, by_language in candidates.items()
    }
