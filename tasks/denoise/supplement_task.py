"""Third stage, once more: what generated queries found -> scores, and a ledger that is filled up with the safe ones."""

import functools

import polars as pl

from storage import DatasetRef, fingerprint, load, open_journal, read, scan
from tasks.denoise import extend, inputs, pairs, remembered, rerank, score_task, select
from tasks.denoise.config import FitConfig, ReadyConfig, ScoreConfig, SelectConfig
from tasks.denoise.newly import newly
from tasks.engine.job import Job


def score_new_candidates(
    job: Job,
    *,
    new_candidates: DatasetRef,
    known: DatasetRef,
    queries: DatasetRef,
    qrels: DatasetRef,
    corpus: DatasetRef,
    text: str,
    config: ScoreConfig,
    encoder: DatasetRef | None = None,
    cross_encoder: DatasetRef | None = None,
    fit_config: FitConfig | None = None,
    ready: ReadyConfig | None = None,
    digest: str | None = None,
) -> None:
    """Score the new candidates that have no score in `known`, nor in the store's journal; arguments as elsewhere.

    The default judge sees them beside the known pairs of their query, as it saw those, and with the same references.
    """
    scored = scan(known).select(pairs.PAIR).collect()
    table = read(new_candidates).select(pairs.PAIR).join(scored, on=pairs.PAIR, how="anti")
    filled = pairs.with_texts(
        table, inputs.train_queries(scan(queries)), inputs.documents(scan(corpus), table, text=text)
    )
    models = [ref if ref is None else load(ref).content for ref in (encoder, cross_encoder)]
    pool = _pool(table, known, queries, qrels, corpus, text) if cross_encoder else None
    seen = [load(ref).content for ref in (known, qrels)] if cross_encoder else []
    settings = [None if one is None else one.model_dump(mode="json") for one in (config, fit_config)]
    open_judge = functools.cache(
        functools.partial(score_task.open_judge, job, config, encoder, cross_encoder, fit_config, ready)
    )
    with (
        open_journal(job.out.ref.root, f"{job.out.ref.kind}-{job.out.ref.partition}") as journal,
        newly(job, len(filled), "pairs") as advance,
    ):
        job.out.write(
            remembered.score_remembered(
                filled,
                journal,
                identity=fingerprint([*models, *settings, digest, *seen]),
                score=lambda rows: rerank.score_beside(rows, pool, lambda both: open_judge()(both, advance)),
                batch_queries=config.shard_queries,
            )
        )


def extend_hard_negatives(
    job: Job,
    *,
    hard_negatives: DatasetRef,
    new_candidates: DatasetRef,
    scores: list[DatasetRef],
    qrels: DatasetRef,
    config: SelectConfig,
) -> None:
    """Decide on the new candidates as on the given ones, and fill the ledger up with the safe ones."""
    found = read(new_candidates)
    decided = select.select_hard_negatives(
        found.drop("generated_id", "generated_text"),
        pl.concat([read(ref) for ref in scores]).unique(pairs.PAIR, keep="first", maintain_order=True),
        read(qrels),
        strategy=config.strategy,
        score=config.score,
        limits=select.Limits(**config.model_dump(exclude={"strategy", "score", "num_negatives"})),
        num_negatives=config.num_negatives,
    )
    job.out.write(extend.extend_ledger(read(hard_negatives), decided, found, num_negatives=config.num_negatives))


def _pool(
    table: pl.DataFrame, known: DatasetRef, queries: DatasetRef, qrels: DatasetRef, corpus: DatasetRef, text: str
) -> pl.DataFrame:
    """The known pairs of the queries that have new candidates, with texts and what people judged."""
    own = scan(known).select(pairs.PAIR).join(table.select("query_id").unique().lazy(), on="query_id", how="semi")
    found = pairs.with_relevance(own.collect(), read(qrels))
    return pairs.with_texts(
        found, inputs.train_queries(scan(queries)), inputs.documents(scan(corpus), found, text=text)
    )
