"""Stage 3 of the method: topics of the train queries, then the batch plan."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from storage import DatasetRef, count, iter_parts, read, scan
from tasks.engine.job import Job
from tasks.plan_batches import check, classes, fasttext_models, known, plan, shelf, tables, weights
from tasks.plan_batches import topics as clusters
from tasks.plan_batches.config import PlanBatchesConfig, TopicsConfig

_QUERIES = ["query_id", "text", "split"]
_QRELS = ["query_id", "doc_id", "relevance"]
_LEDGER = ["query_id", "doc_id", "decision", "reason", "grade", "hardness"]
_ROWS = 1 << 20  # read at a time


def find_topics(
    job: Job,
    *,
    embeddings: dict[str, DatasetRef],
    corpus: dict[str, DatasetRef],
    queries: dict[str, DatasetRef],
    qrels: dict[str, DatasetRef],
    config: TopicsConfig,
    models: tuple[str, ...] = (),  # digests of the fastText files: what the fingerprint knows of them
) -> None:
    """Find what each train query is about, from the document that answers it."""
    positives = {name: clusters.first_positives(read(queries[name]), read(qrels[name])) for name in sorted(queries)}
    if config.method == "fasttext":
        job.out.write(_classify(positives, corpus, config))
        return
    vectors = {}
    with job.progress(len(positives), "languages") as advance:
        for name, rows in positives.items():
            vectors[name] = clusters.gather_vectors(iter_parts(embeddings[name]), rows, language=name)
            advance(1)
    assigned = clusters.cluster_topics(
        positives, vectors, num_topics=config.num_topics, num_starts=config.num_starts, seed=config.seed
    )
    named = clusters.label_documents(assigned)
    job.out.write(clusters.label_topics(assigned, named, _documents(corpus, named)))


def _classify(positives: dict[str, pl.DataFrame], corpus: dict[str, DatasetRef], config: TopicsConfig) -> pl.DataFrame:
    rows = pl.concat([rows.with_columns(language=pl.lit(name)) for name, rows in positives.items()])
    rows = rows.join(_documents(corpus, rows), on=["language", "doc_id"], how="left", maintain_order="left")
    lines = [classes.fasttext_line(f"{title} {text}") for title, text in rows.select("title", "text").iter_rows()]
    dbpedia = fasttext_models.classify(Path(str(config.dbpedia_model)), lines)
    yahoo = fasttext_models.classify(Path(str(config.yahoo_model)), lines)
    return classes.class_topics(rows, dbpedia, yahoo)


def _documents(corpus: dict[str, DatasetRef], wanted: pl.DataFrame) -> pl.DataFrame:
    """Read some documents: language, doc_id, title, text."""
    return pl.concat(
        [
            scan(corpus[str(name)])
            .join(rows.lazy().select("doc_id").unique(), on="doc_id", how="semi")
            .select(pl.lit(name).alias("language"), "doc_id", "title", "text")
            .collect()
            for (name,), rows in sorted(wanted.partition_by("language", as_dict=True).items())
        ]
    )


def plan_batches(
    job: Job,
    *,
    hard_negatives: dict[str, DatasetRef],
    queries: dict[str, DatasetRef],
    qrels: dict[str, DatasetRef],
    topics: DatasetRef,
    config: PlanBatchesConfig,
) -> None:
    """Put the train queries into batches, with no known positive as a negative of another."""
    names = sorted(queries)
    frames = {
        name: {
            "queries": (queries[name], _QUERIES),
            "qrels": (qrels[name], _QRELS),
            "ledger": (hard_negatives[name], _LEDGER),
        }
        for name in names
    }

    def slices(language: str) -> dict[str, Iterator[pl.DataFrame]]:
        return {what: _slices(ref, columns) for what, (ref, columns) in frames[language].items()}

    topic = scan(topics).select("language", "query_id", "topic")
    with job.progress(len(names), "languages") as advance:
        languages, facts = [], {}
        for done, name in enumerate(names, start=1):
            languages.append(
                tables.build_table(
                    name,
                    **slices(name),
                    topics=topic.filter(pl.col("language") == name).select("query_id", "topic").collect(),
                    shelf=shelf.Shelf(job.scratch / "tables" / name),
                )
            )
            facts[name] = known.gather_known(**slices(name), shelf=shelf.Shelf(job.scratch / "known" / name))
            advance(done)
    for line in tables.shortfalls(languages, num_negatives=config.num_negatives):
        job.log.info("%s", line)
    parts = plan.plan_parts(
        languages,
        weights.sample_weights(
            tables.count_queries(languages),
            alpha=config.alpha,
            beta=config.beta,
            language_temperature=config.language_temperature,
        ),
        batch_size=config.batch_size,
        num_negatives=config.num_negatives,
        num_epochs=config.num_epochs,
        num_steps=config.num_steps,
        seed=config.seed,
        language_temperature=config.language_temperature,
        same_language=config.same_language,
        topic_balance=config.topic_balance,
    )
    promises = check.PlanCheck(
        facts,
        batch_size=config.batch_size,
        num_negatives=config.num_negatives,
        language_temperature=config.language_temperature,
        same_language=config.same_language,
    )
    steps = plan.steps_per_epoch(languages, batch_size=config.batch_size, num_steps=config.num_steps)
    with job.progress(steps * config.num_epochs * config.batch_size, "slots") as advance:
        done = 0
        for part in promises.passing(parts):
            job.out.write(part)
            advance(done := done + part.height)


def _slices(ref: DatasetRef, columns: list[str]) -> Iterator[pl.DataFrame]:
    """Read some columns of a dataset, a bounded number of rows at a time."""
    rows = scan(ref).select(columns)
    for first in range(0, count(ref), _ROWS):
        yield rows.slice(first, _ROWS).collect()
