"""Last stage: ranked lists of dev queries, measured."""

import polars as pl

from storage import DatasetRef, iter_parts, read, scan
from tasks.engine.job import Job
from tasks.evaluate import measure, runs
from tasks.models.texts import document_text, same_text


def make_run(job: Job, *, candidates: DatasetRef, system: str, depth: int) -> None:
    """Keep the dev queries' ranked lists, as Parquet and as a TREC run file."""
    run = runs.cut_run(scan(candidates), system=system, depth=depth)
    job.out.write(run)
    folder = job.scratch / "trec"
    folder.mkdir(exist_ok=True)
    runs.write_trec(run, folder / f"{system}.run")
    job.out.add_folder(folder, "trec")


def count_copies(job: Job, *, corpus: dict[str, DatasetRef], text: str) -> None:
    """Count the documents whose text an earlier one has: nobody judged them, so they count as misses."""
    rows = []
    for language, documents in sorted(corpus.items()):
        texts = (part.select(text=document_text(text)) for part in iter_parts(documents))
        same = pl.concat([one.select(same_text("text").hash())["text"] for one in texts])
        rows.append((language, len(same), len(same) - same.n_unique()))
    job.out.write(pl.DataFrame(rows, schema=["language", "num_documents", "num_copies"], orient="row"))


def measure_runs(
    job: Job,
    *,
    runs: dict[str, DatasetRef],
    qrels: dict[str, DatasetRef],
    queries: dict[str, DatasetRef],
    train_queries: dict[str, DatasetRef],
    system: str,
    metrics: tuple[str, ...],
    relevant_from: int,
) -> None:
    """Measure a system per query, per language and over all languages; also without queries that train repeats."""
    per_query = {}
    for language, run in runs.items():
        values = measure.measure_language(
            read(run), read(qrels[language]), metrics=metrics, relevant_from=relevant_from
        )
        asked = read(queries[language])
        trained = read(train_queries[language]) if language in train_queries else asked.clear()
        repeated = measure.repeated_queries(asked, trained)
        if len(repeated):
            job.log.info("%s: %d dev queries have the text of a train query", language, len(repeated))
        per_query[language] = values.with_columns(is_new=~pl.col("query_id").is_in(repeated.implode()))
    job.out.write(measure.summarise(per_query, system=system))
