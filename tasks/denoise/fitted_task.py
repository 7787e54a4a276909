"""Third stage, the fitted judge: pairs -> features -> weights per fold -> raw scores. Only features need a network."""

import functools
from collections.abc import Callable

import polars as pl

from storage import DatasetRef, folder, read, scan
from tasks import groups
from tasks.denoise import features as comparisons
from tasks.denoise import judge_model as fitted
from tasks.denoise.pairs import label_pairs
from tasks.denoise.pairs_task import PairTexts, write_rows
from tasks.engine.job import Job
from tasks.models.encoder import shared_encoder


def find_features(
    job: Job,
    *,
    candidates: DatasetRef,
    queries: DatasetRef,
    qrels: DatasetRef,
    corpus: DatasetRef,
    encoder: DatasetRef,
    text: str,
    max_query_tokens: int,
    max_document_tokens: int,
    known: DatasetRef | None = None,
    dtype: str = "float32",
) -> None:
    """Compare the train queries with their candidates and judged documents; every text of a shard is embedded once."""
    given = PairTexts(candidates, queries, qrels, corpus, text, known, with_references=True)
    limits = {"max_query_tokens": max_query_tokens, "max_document_tokens": max_document_tokens}
    open_encoder = functools.cache(lambda: shared_encoder(folder(encoder) / "model", job.device, dtype))

    def compute(pairs: pl.DataFrame, progress: Callable[[int], None]) -> pl.DataFrame:
        told = pairs.select("query_id", document="references").unique("query_id", maintain_order=True)
        return comparisons.find_features(
            pairs,
            told.explode("document").drop_nulls(),
            open_encoder(),
            batch_tokens=job.batch_tokens,
            progress=progress,
            **limits,
        )

    write_rows(job, given, schema=comparisons.SCHEMA, compute=compute)


def fold_queries(job: Job, *, queries: dict[str, DatasetRef], qrels: dict[str, DatasetRef]) -> None:
    """Put queries that belong together, in whichever language, into one fold."""
    asked, judged = (
        pl.concat([read(ref).with_columns(language=pl.lit(language)) for language, ref in sorted(refs.items())])
        for refs in (queries, qrels)
    )
    grouped = groups.group_queries(asked, judged)
    for line in groups.say_split(grouped):
        job.log.info("folds: %s", line)
    job.out.write(fitted.fold_queries(grouped))


def fit_judge(
    job: Job,
    *,
    folds: DatasetRef,
    features: dict[str, DatasetRef],
    fused: dict[str, DatasetRef],
    qrels: dict[str, DatasetRef],
    presumed_ranks: tuple[int, int],
) -> None:
    """Fit a judge per fold of the queries of all languages, without the fold."""
    tables = []
    for language in sorted(features):
        every = read(features[language])
        labelled = label_pairs(every, read(fused[language]), read(qrels[language]), presumed_ranks=presumed_ranks)
        pool = every.join(labelled, on="query_id", how="semi")
        tables.append(fitted.with_relative(labelled, pool, _folds(folds, language)))
    pairs = pl.concat(tables)
    job.out.write(pl.concat([fitted.fit_fold(pairs, fold) for fold in range(fitted.NUM_FOLDS)]))


def score_features(
    job: Job,
    *,
    language: str,
    features: DatasetRef,
    folds: DatasetRef,
    judge_model: DatasetRef,
    pool: DatasetRef | None = None,
) -> None:
    """Score each query by the judge that has not seen it; later candidates relative to the `pool` that was there."""
    rows = read(features)
    around = rows if pool is None else scan(pool).join(rows.lazy(), on="query_id", how="semi").collect()
    table = fitted.with_relative(rows, around, _folds(folds, language))
    job.out.write(fitted.score_pairs(table, read(judge_model)))


def _folds(folds: DatasetRef, language: str) -> pl.DataFrame:
    return scan(folds).filter(pl.col("language") == language).collect()
