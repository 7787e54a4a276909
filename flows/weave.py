"""The pipeline as a table of contents: one function per stage, top to bottom. Nothing runs here."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from flows.configs import PipelineConfig
from flows.ingest import Texts, ingest_languages
from flows.judge import judge, relabel
from flows.retrieval import (
    MEASURED,
    MINED,
    embed_corpora,
    fuse,
    rank_by_ensemble,
    rank_by_terms,
    rank_by_vectors,
)
from flows.run.pipeline import Pipeline, Promises
from flows.supplement import Given, supplement
from flows.training_inputs import VALIDATED, training_inputs
from storage import file_digest
from tasks.engine.step import Promise
from tasks.models.locate import model_digest
from tasks.plan_batches.config import FastTextModels
from tasks.steps import (
    classify_topics,
    export_model,
    find_topics,
    make_run,
    measure_runs,
    plan_batches,
    prepare_encoder,
    select_hard_negatives,
    train_encoder,
)


def weave(config: PipelineConfig) -> Pipeline:
    """Promise every dataset of a configuration; reads nothing but new input files, for their digests.

    Raises:
        ValueError: the settings contradict each other.
        FileNotFoundError: they name files that are not there.
    """
    texts = ingest_languages(config.ingest, config.languages)
    retrieved = _retrieve(config, texts)
    scores, first_ledger = _denoise(config, texts, retrieved)
    given = Given(texts.corpus, texts.queries, texts.qrels, scores, first_ledger)
    hard_negatives, supplemented = supplement(
        config,
        given,
        find=partial(_retrieve_again, config, texts, retrieved),
        score=partial(judge, config, texts.corpus, texts.queries, texts.qrels, retrieved.fused),
    )
    qrels = relabel(config, texts.qrels, hard_negatives)
    topics, batch_plan = _plan_batches(config, texts, retrieved, hard_negatives, qrels)
    # What a batch plan can name: tokenized once, so that another threshold or seed tokenizes nothing.
    named = {language: [retrieved.fused[language], qrels[language]] for language in texts.corpus}
    if supplemented:
        named = {language: [*promises, hard_negatives[language]] for language, promises in named.items()}
    trained = _train(config, texts, retrieved, scores, batch_plan, named)
    metrics = _evaluate(config, texts, retrieved, trained)
    return Pipeline.weave(
        {
            "ingest": [*_all(texts.corpus, texts.queries, texts.qrels), *texts.aside],
            "retrieve": [retrieved.encoder, *_all(retrieved.bm25, retrieved.untrained, retrieved.fused)],
            "denoise": _all(scores, first_ledger),
            "supplement": supplemented,
            "plan_batches": [topics, batch_plan],
            "train": [trained],
            "evaluate": list(metrics.values()),
            "export": [export_model(trained=trained, metrics=metrics, name=config.name)],
        },
        metrics=list(metrics.values()),
    )


def _all(*by_language: Promises) -> list[Promise]:
    return [promise for promises in by_language for promise in promises.values()]


@dataclass(frozen=True)
class _Retrieved:
    """What retrieval makes: the base encoder, its vectors, candidates by system, and the candidates to mine from."""

    encoder: Promise
    embeddings: Promises
    bm25: Promises
    untrained: Promises
    fused: Promises


def _retrieve(config: PipelineConfig, texts: Texts) -> _Retrieved:
    encoder = prepare_encoder(config=config.encoder, digest=model_digest(config.encoder.model))
    embeddings = embed_corpora(config, encoder, texts.corpus)
    bm25 = rank_by_terms(config, texts.corpus, texts.queries)
    untrained = rank_by_vectors(config, encoder, embeddings, texts.queries, "untrained", (*MINED, *MEASURED))
    ensemble = rank_by_ensemble(config, texts.corpus, texts.queries)
    fused = fuse(config, texts.queries, {"bm25": bm25, "untrained": untrained, **ensemble})
    return _Retrieved(encoder, embeddings, bm25, untrained, fused)


def _denoise(config: PipelineConfig, texts: Texts, retrieved: _Retrieved) -> tuple[Promises, Promises]:
    scores = judge(config, texts.corpus, texts.queries, texts.qrels, retrieved.fused)
    ledger = {
        language: select_hard_negatives(
            language,
            fused=fused,
            scores=scores[language],
            qrels=texts.qrels[language],
            queries=texts.queries[language],
            config=config.denoise.select,
        )
        for language, fused in retrieved.fused.items()
    }
    return scores, ledger


def _retrieve_again(config: PipelineConfig, texts: Texts, retrieved: _Retrieved, generated: Promises) -> Promises:
    """Find candidates for generated queries, as for the given ones."""
    ranked = {
        "bm25": rank_by_terms(config, texts.corpus, generated),
        "untrained": rank_by_vectors(config, retrieved.encoder, retrieved.embeddings, generated, "untrained", MINED),
        **rank_by_ensemble(config, texts.corpus, generated),
    }
    return fuse(config, generated, ranked)


def _plan_batches(
    config: PipelineConfig, texts: Texts, retrieved: _Retrieved, hard_negatives: Promises, qrels: Promises
) -> tuple[Promise, Promise]:
    topics = _topics(config, texts, retrieved, qrels)
    batch_plan = plan_batches(
        hard_negatives=hard_negatives, queries=texts.queries, qrels=qrels, topics=topics, config=config.plan_batches
    )
    return topics, batch_plan


def _topics(config: PipelineConfig, texts: Texts, retrieved: _Retrieved, qrels: Promises) -> Promise:
    """Cluster the queries; or classify them, where a folder of fastText's models is named."""
    topics = config.plan_batches.topics
    given: dict[str, Any] = {"corpus": texts.corpus, "queries": texts.queries, "qrels": qrels}
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
        queries=texts.queries,
        qrels=texts.qrels,
        named=named,
        held_out=rank_by_vectors(config, encoder, retrieved.embeddings, texts.queries, "untrained", VALIDATED),
        scores=scores,
    )
    return train_encoder(batch_plan=batch_plan, **inputs, encoder=encoder, config=config.train)


def _evaluate(config: PipelineConfig, texts: Texts, retrieved: _Retrieved, trained: Promise) -> dict[str, Promise]:
    """Measure the systems on the dev queries; by system."""
    embeddings = embed_corpora(config, trained, texts.corpus)
    candidates = {
        "bm25": retrieved.bm25,
        "untrained": retrieved.untrained,
        "trained": rank_by_vectors(config, trained, embeddings, texts.queries, "trained", MEASURED),
    }
    return {
        system: measure_runs(
            runs={
                language: make_run(
                    language,
                    candidates=ranked,
                    queries=texts.queries[language],
                    system=system,
                    depth=config.evaluate.depth,
                )
                for language, ranked in by_language.items()
            },
            qrels=texts.qrels,
            queries=texts.queries,
            system=system,
            metrics=config.evaluate.metrics,
        )
        for system, by_language in candidates.items()
    }
