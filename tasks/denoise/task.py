"""Third stage, the decisions: raw scores -> probabilities and grades -> the ledger of hard negatives."""

import json

import polars as pl

from storage import DatasetRef, folder, read, scan
from tasks.denoise import calibrate, extend, inputs, pairs, relabel, reliability, select
from tasks.denoise.config import CalibrateConfig, GradeConfig, SelectConfig
from tasks.engine.job import Job


def calibrate_scores(
    job: Job,
    *,
    raw_scores: dict[str, DatasetRef],
    fused: dict[str, DatasetRef],
    qrels: dict[str, DatasetRef],
    config: CalibrateConfig,
) -> None:
    """Fit the curves from raw score to probability on judged pairs."""
    judged, presumed = [], []
    for language in sorted(raw_scores):
        alone = pl.col("judge").str.ends_with(pairs.ALONE)
        scores = scan(raw_scores[language]).select(*pairs.PAIR, "raw", language=pl.lit(language), alone=alone)
        labels = scan(qrels[language])
        judged.append(scores.join(labels, on=pairs.PAIR).select("language", "raw", "relevance", "alone").collect())
        low = scan(fused[language]).filter(pl.col("rank") >= config.presumed_from_rank)
        unjudged = scores.join(low, on=pairs.PAIR, how="semi").join(labels, on=pairs.PAIR, how="anti")
        presumed.append(unjudged.select("language", "raw").collect())
    pool = calibrate.comparable_pairs(pl.concat(judged), min_positive=config.min_positive)
    pool = pool.sort("language", "raw", "relevance")
    curves = calibrate.fit_curves(
        pool,
        pl.concat(presumed).sort("language", "raw"),
        prior=config.prior,
        min_positive=config.min_positive,
        min_negative=config.min_negative,
    )
    for language, curve in curves.items():
        if curve.fitted_on != calibrate.JUDGED:
            job.log.warning("%s: too few judged pairs, calibrated on %s ones", language, curve.fitted_on)
    job.out.write(reliability.reliability_table(pool, curves, prior=config.prior, num_bins=config.num_bins))
    target = job.scratch / "curves"
    target.mkdir(exist_ok=True)
    content = {language: curve.to_dict() for language, curve in curves.items()}
    (target / "calibration.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    job.out.add_folder(target, "curves")


def apply_calibration(
    job: Job, *, language: str, raw_scores: DatasetRef, calibration: DatasetRef, config: GradeConfig
) -> None:
    """Turn raw scores into probabilities and grades."""
    content = json.loads((folder(calibration) / "curves" / "calibration.json").read_text())
    curve = calibrate.Curve(**content[language])
    job.out.write(calibrate.apply_curve(read(raw_scores), curve, grade_cuts=(config.partly, config.highly)))


def select_hard_negatives(
    job: Job, *, fused: DatasetRef, scores: DatasetRef, qrels: DatasetRef, queries: DatasetRef, config: SelectConfig
) -> None:
    """Decide on every candidate of the train queries: the ledger."""
    candidates = scan(fused).join(inputs.train_queries(scan(queries)).lazy(), on="query_id", how="semi").collect()
    ledger = select.select_hard_negatives(
        candidates,
        read(scores),
        read(qrels),
        strategy=config.strategy,
        score=config.score,
        limits=select.Limits(**config.model_dump(exclude={"strategy", "score", "num_negatives"})),
        num_negatives=config.num_negatives,
    )
    job.out.write(extend.as_given(ledger))


def relabel_candidates(job: Job, *, qrels: DatasetRef, hard_negatives: DatasetRef) -> None:
    """Add what the ledger relabelled to the judgements: to train on, never to measure or calibrate."""
    job.out.write(relabel.relabel(read(qrels), read(hard_negatives)))
