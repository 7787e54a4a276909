"""The generated sample atlas -> corpus, queries, qrels; truth."""

from functools import partial

import polars as pl

from tasks.engine.job import Job
from tasks.ingest import queries as questions
from tasks.ingest.atlas import generate as atlas
from tasks.ingest.config import AtlasConfig


def generate_corpus(job: Job, *, language: str, config: AtlasConfig, babel: str) -> None:
    """Generate the documents of atlas."""
    job.out.write(_atlas(language, config).corpus)


def generate_queries(
    job: Job,
    *,
    language: str,
    config: AtlasConfig,
    babel: str,
    split: str,
    validation_share: float = 0.0,
    seed: int = 0,
) -> None:
    """Generate the queries of atlas of one split; a share of the train queries is held out as validation."""
    job.out.write(_generated_queries(job, language, config, split, validation_share, seed))


def generate_qrels(
    job: Job,
    *,
    language: str,
    config: AtlasConfig,
    babel: str,
    split: str,
    validation_share: float = 0.0,
    seed: int = 0,
) -> None:
    """Generate the judgements of atlas of one split, which leave many a relevant document out."""
    asked = _generated_queries(job, language, config, split, validation_share, seed)
    job.out.write(_atlas(language, config).qrels.join(asked, on="query_id", how="semi", maintain_order="left"))


def generate_truth(job: Job, *, language: str, config: AtlasConfig, babel: str) -> None:
    """List the relevant documents that the judgements of atlas leave out."""
    job.out.write(_atlas(language, config).truth)


def _atlas(language: str, config: AtlasConfig) -> atlas.Atlas:
    return atlas.generate(language, **config.model_dump())


def _generated_queries(
    job: Job, language: str, config: AtlasConfig, split: str, validation_share: float, seed: int
) -> pl.DataFrame:
    sample = _atlas(language, config)
    frame = sample.queries
    if validation_share:
        hold_out = partial(questions.hold_out_validation, language=language, share=validation_share, seed=seed)
        frame = hold_out(frame, sample.qrels, say=job.log.warning)
    return frame.filter(pl.col("split") == split)
