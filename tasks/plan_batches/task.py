"""Stage 3 of the method: topics of the train queries, then the batch plan."""

import polars as pl

from storage import DatasetRef, iter_parts, read, scan
from tasks.engine.job import Job
from tasks.plan_batches import plan, shares, tables, weights
from tasks.plan_batches.config import PlanBatchesConfig
from tasks.plan_batches.topics import cluster_topics, first_positives, gather_vectors, label_topics

CLUSTERS_SEED = 13  # not the plan's: another plan has the same topics


def find_topics(
    job: Job,
    *,
    embeddings: dict[str, DatasetRef],
    corpus: dict[str, DatasetRef],
    queries: dict[str, DatasetRef],
    qrels: dict[str, DatasetRef],
    num_topics: int,
) -> None:
    """Find what each train query is about, by clusters of the documents that answer them."""
    positives = {name: first_positives(read(queries[name]), read(qrels[name])) for name in sorted(queries)}
    vectors = {}
    with job.bar(len(positives), "languages") as advance:
        for name, rows in positives.items():
            vectors[name] = gather_vectors(iter_parts(embeddings[name]), rows, language=name)
            advance(1)
    assigned = cluster_topics(positives, vectors, num_topics=num_topics, seed=CLUSTERS_SEED)
    job.out.write(label_topics(assigned, {name: scan(ref) for name, ref in corpus.items()}))


def plan_batches(
    job: Job,
    *,
    hard_negatives: dict[str, DatasetRef],
    queries: dict[str, DatasetRef],
    qrels: dict[str, DatasetRef],
    topics: DatasetRef,
    corpus: dict[str, DatasetRef],
    text: str,
    config: PlanBatchesConfig,
    ignore_own_document: bool = False,
) -> None:
    """Put the train queries into batches, with no known positive, nor a copy of one, as a negative of another."""
    languages = []
    with job.bar(len(queries), "languages") as advance:
        for name in sorted(queries):
            in_language = scan(topics).filter(pl.col("language") == name)
            languages.append(
                tables.build_table(
                    name,
                    queries=scan(queries[name]),
                    qrels=scan(qrels[name]),
                    ledger=scan(hard_negatives[name]),
                    topics=in_language.select("query_id", "topic").collect(),
                    documents=scan(corpus[name]),
                    text=text,
                    ignore_own_document=ignore_own_document,
                )
            )
            advance(1)
    _say_what_is_short(job, languages, config)
    weight = weights.sample_weights(
        tables.count_queries(languages),
        alpha=config.alpha,
        beta=config.beta,
        language_temperature=config.language_temperature,
    )
    parts = plan.plan_parts(
        languages,
        weight,
        batch_size=config.batch_size,
        num_negatives=config.num_negatives,
        num_epochs=config.num_epochs,
        num_steps=config.num_steps,
        seed=config.seed,
        language_temperature=config.language_temperature,
        same_language=config.same_language,
        topic_balance=config.topic_balance,
    )
    steps = plan.steps_per_epoch(languages, batch_size=config.batch_size, num_steps=config.num_steps)
    counts = []
    with job.bar(steps * config.num_epochs * config.batch_size, "slots") as advance:
        for part in parts:
            job.out.write(part)
            counts.append(shares.count_masked(part))
            advance(part.height)
    for line in shares.masked_lines(counts):
        job.log.info("%s", line)


def _say_what_is_short(job: Job, languages: list[tables.LanguageTable], config: PlanBatchesConfig) -> None:
    for line in tables.shortfalls(languages, num_negatives=config.num_negatives):
        job.log.info("%s", line)
    for table in languages:
        if config.same_language and (most := table.separable_size()) < config.batch_size:
            job.log.info("%s: too many queries share a positive for batches of more than %d", table.language, most)
