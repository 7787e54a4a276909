"""The pipeline as a table of contents: one call per stage, top to bottom. Nothing runs here."""

from flows.configs import PipelineConfig
from flows.judge import judge, judge_new, relabel
from flows.pipeline import Pipeline, Promises
from flows.retrieval import (
    MEASURED,
    MINED,
    embed_corpora,
    fuse,
    rank_by_ensemble,
    rank_by_terms,
    rank_by_vectors,
)
from flows.supplement import Given, supplement
from flows.training_inputs import VALIDATED, training_inputs
from storage import checksum, remembered
from tasks.engine.step import Promise
from tasks.ingest.steps import Ingested, ingest
from tasks.models.digest import model_digest
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
    with remembered() as memo:
        ingested: dict[str, Ingested] = {
            language: ingest(config.ingest, language, memo) for language in config.languages
        }
    corpus = {language: found.corpus for language, found in ingested.items()}
    queries = {language: found.queries for language, found in ingested.items()}
    qrels = {language: found.qrels for language, found in ingested.items()}
    aside = [promise for found in ingested.values() for promise in (found.truth, found.quarantine) if promise]

    encoder = prepare_encoder(config=config.encoder, digest=model_digest(config.encoder.model))
    bm25 = rank_by_terms(config, corpus, queries)
    embeddings = embed_corpora(config, encoder, corpus)
    untrained = rank_by_vectors(config, encoder, embeddings, queries, "untrained", (*MINED, *MEASURED))
    ensemble = rank_by_ensemble(config, corpus, queries)
    fused = fuse(config, queries, {"bm25": bm25, "untrained": untrained, **ensemble})

    scores = judge(config, corpus, queries, qrels, fused)
    first_ledger = {
        language: select_hard_negatives(
            language,
            fused=fused[language],
            scores=scores[language],
            qrels=qrels[language],
            queries=queries[language],
            config=config.denoise.select,
        )
        for language in corpus
    }

    def find(asked: Promises) -> Promises:
        ranked = {
            "bm25": rank_by_terms(config, corpus, asked),
            "untrained": rank_by_vectors(config, encoder, embeddings, asked, "untrained", MINED),
            **rank_by_ensemble(config, corpus, asked),
        }
        return fuse(config, asked, ranked)

    def score(new_candidates: Promises) -> Promises:
        return judge_new(config, corpus, queries, qrels, fused, new_candidates)

    hard_negatives, supplemented = supplement(
        config, Given(corpus, queries, qrels, scores, first_ledger), find=find, score=score
    )

    judged = relabel(config, qrels, hard_negatives)
    topics = _topics(config, embeddings, corpus, queries, judged)
    batch_plan = plan_batches(
        hard_negatives=hard_negatives, queries=queries, qrels=judged, topics=topics, config=config.plan_batches
    )
    # What a batch plan can name: tokenized once, so that another threshold or seed tokenizes nothing.
    named = {language: [fused[language], judged[language]] for language in corpus}
    if supplemented:
        named = {language: [*promises, hard_negatives[language]] for language, promises in named.items()}
    trained_encoder = train_encoder(
        batch_plan=batch_plan,
        **training_inputs(
            config,
            encoder=encoder,
            corpus=corpus,
            queries=queries,
            qrels=qrels,
            named=named,
            held_out=rank_by_vectors(config, encoder, embeddings, queries, "untrained", VALIDATED),
            scores=scores,
        ),
        encoder=encoder,
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
            "denoise": [*scores.values(), *first_ledger.values()],
            "supplement": supplemented,
            "plan_batches": [topics, batch_plan],
            "train": [trained_encoder],
            "evaluate": list(metrics.values()),
            "export": [export_model(trained=trained_encoder, metrics=metrics, name=config.name)],
        },
        metrics=list(metrics.values()),
    )


def _topics(
    config: PipelineConfig, embeddings: Promises, corpus: Promises, queries: Promises, qrels: Promises
) -> Promise:
    """Cluster the queries; or classify them, where a folder of fastText's models is named."""
    topics = config.plan_batches.topics
    if isinstance(topics, int):
        return find_topics(embeddings=embeddings, corpus=corpus, queries=queries, qrels=qrels, num_topics=topics)
    models = FastTextModels(folder=topics)
    digests = tuple(checksum(file) for file in models.files)
    return classify_topics(corpus=corpus, queries=queries, qrels=qrels, models=models, digests=digests)


def _measure(config: PipelineConfig, candidates: Promises, queries: Promises, qrels: Promises, system: str) -> Promise:
    runs = {
        language: make_run(
            language, candidates=found, queries=queries[language], system=system, depth=config.evaluate.depth
        )
        for language, found in candidates.items()
    }
    return measure_runs(runs=runs, qrels=qrels, queries=queries, system=system, metrics=config.evaluate.metrics)
