"""Last stage: ranked lists of dev queries, measured."""

import polars as pl

from storage import DatasetRef, read, scan
from tasks.engine.job import Job
from tasks.evaluate import measure, runs


def make_run(job: Job, *, candidates: DatasetRef, queries: DatasetRef, system: str, depth: int) -> None:
    """Keep the dev queries' ranked lists, as Parquet and as a TREC run file."""
    run = runs.cut_run(scan(candidates), scan(queries), system=system, split="dev", depth=depth)
    job.out.write(run)
    folder = job.scratch / "trec"
    folder.mkdir(exist_ok=True)
    runs.write_trec(run, folder / f"{system}.run")
    job.out.add_folder(folder, "trec")


def measure_runs(
    job: Job,
    *,
    runs: dict[str, DatasetRef],
    qrels: dict[str, DatasetRef],
    queries: dict[str, DatasetRef],
    system: str,
    metrics: tuple[str, ...],
) -> None:
    """Measure a system per query, per language and over all languages."""
    per_query = {}
    for language, run in runs.items():
        in_dev = scan(queries[language]).filter(pl.col("split") == "dev").select("query_id")
        judged = scan(qrels[language]).join(in_dev, on="query_id", how="semi").collect()
        per_query[language] = measure.measure_language(read(run), judged, metrics=metrics)
    job.out.write(measure.summarise(per_query, system=system))
