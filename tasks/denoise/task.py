"""Third stage: fused candidates -> cross-encoder, raw scores, probabilities, and the ledger of hard negatives."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from storage import DatasetRef, fingerprint, folder, load, read, scan
from tasks.denoise.config import CalibrateConfig, FitConfig, GradeConfig, ReadyConfig, ScoreConfig, SelectConfig
from tasks.stage import Job, deferred, stage

if TYPE_CHECKING:
    from tasks.denoise import calibrate, fit, folds, pairs, rerank, select
    from tasks.models import cross_encoder as cross_encoders
    from tasks.models import encoder as encoders
    from tasks.models import pair_classifier as classifiers
    from tasks.models import texts
else:
    calibrate = deferred("tasks.denoise.calibrate")
    classifiers = deferred("tasks.models.pair_classifier")
    cross_encoders = deferred("tasks.models.cross_encoder")
    encoders = deferred("tasks.models.encoder")
    fit = deferred("tasks.denoise.fit")
    folds = deferred("tasks.denoise.folds")
    pairs = deferred("tasks.denoise.pairs")
    rerank = deferred("tasks.denoise.rerank")
    select = deferred("tasks.denoise.select")
    texts = deferred("tasks.models.texts")

_FACTS = {"fold": pl.Int32, "num_pairs": pl.Int32, "num_queries": pl.Int32, "loss": pl.Float32}


@stage(produces="cross_encoder", resource="model")
def fit_cross_encoder(
    job: Job,
    *,
    encoder: DatasetRef,
    fused: dict[str, DatasetRef],
    queries: dict[str, DatasetRef],
    qrels: dict[str, DatasetRef],
    corpus: dict[str, DatasetRef],
    text: str,
    config: FitConfig,
) -> None:
    """Train one cross-encoder per fold of the queries, without the fold; a killed run goes on with the next fold."""
    inputs = [encoder, *fused.values(), *queries.values(), *qrels.values(), *corpus.values()]
    scratch = job.scratch / fingerprint([load(ref).content for ref in inputs])
    table = pl.concat(
        [
            _training_pairs(fused[language], queries[language], qrels[language], corpus[language], text, config).select(
                pl.lit(language).alias("language"), pl.all()
            )
            for language in sorted(fused)
        ]
    )
    table = folds.with_folds(table, num_folds=config.num_folds, seed=config.seed)
    base = encoders.Encoder.load(folder(encoder) / "model", device=job.device)
    facts = []
    cosine = _cosines(job, base, table, config)
    for fold in range(config.num_folds):
        target = scratch / f"fold-{fold}"
        if not target.exists():
            _fit_fold(job, base, table.with_columns(cosine).filter(pl.col("fold") != fold), target, config)
        facts.append({"fold": fold, **json.loads((target / "fit.json").read_text())})
        job.out.add_folder(target, f"fold-{fold}")
    job.out.write(pl.DataFrame(facts, schema=_FACTS))


@stage(produces="raw_scores", resource="model")
def score_candidates(
    job: Job,
    *,
    fused: DatasetRef,
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
    """Score the train queries' candidates and judged documents, each query by a model that has not seen it.

    Give either `encoder`, `cross_encoder` and `fit_config`, or `ready` and its `digest`.
    """
    wanted = _train_queries(queries)
    table = pairs.pairs_to_score(read(fused), read(qrels), wanted["query_id"])
    shards = math.ceil(len(wanted) / config.shard_queries)
    missing = job.out.missing(shards)
    if not missing:
        return
    judge = _judge(job, config, encoder, cross_encoder, fit_config, ready)
    with _newly(job, len(table), "pairs") as advance:
        for shard in range(shards):
            own = wanted.slice(shard * config.shard_queries, config.shard_queries)
            rows = table.join(own.select("query_id"), on="query_id", how="semi")
            if shard not in missing:
                advance(len(rows))
                continue
            filled = pairs.with_texts(rows, own, _documents(corpus, rows, text))
            job.out.write(judge(filled, advance), shard=shard)


@stage(produces="calibration")
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
        scores = scan(raw_scores[language]).select(*pairs.PAIR, "raw", language=pl.lit(language))
        labels = scan(qrels[language])
        judged.append(scores.join(labels, on=pairs.PAIR).select("language", "raw", "relevance").collect())
        low = scan(fused[language]).filter(pl.col("rank") >= config.presumed_from_rank)
        unjudged = scores.join(low, on=pairs.PAIR, how="semi").join(labels, on=pairs.PAIR, how="anti")
        presumed.append(unjudged.select("language", "raw").collect())
    pool = pl.concat(judged).sort("language", "raw", "relevance")
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
    job.out.write(calibrate.reliability_table(pool, curves, prior=config.prior, num_bins=config.num_bins))
    target = job.scratch / "curves"
    target.mkdir(exist_ok=True)
    content = {language: curve.to_dict() for language, curve in curves.items()}
    (target / "calibration.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    job.out.add_folder(target, "curves")


@stage(produces="scores")
def apply_calibration(
    job: Job, *, language: str, raw_scores: DatasetRef, calibration: DatasetRef, config: GradeConfig
) -> None:
    """Turn raw scores into probabilities and grades."""
    content = json.loads((folder(calibration) / "curves" / "calibration.json").read_text())
    curve = calibrate.Curve(**content[language])
    job.out.write(calibrate.apply_curve(read(raw_scores), curve, grade_cuts=(config.partly, config.highly)))


@stage(produces="hard_negatives")
def select_hard_negatives(
    job: Job, *, fused: DatasetRef, scores: DatasetRef, qrels: DatasetRef, queries: DatasetRef, config: SelectConfig
) -> None:
    """Decide on every candidate of the train queries: the ledger."""
    candidates = scan(fused).join(_train_queries(queries).lazy(), on="query_id", how="semi").collect()
    ledger = select.select_hard_negatives(
        candidates,
        read(scores),
        read(qrels),
        strategy=config.strategy,
        score=config.score,
        limits=select.Limits(**config.model_dump(exclude={"strategy", "score", "num_negatives"})),
        num_negatives=config.num_negatives,
    )
    job.out.write(ledger)


def _train_queries(queries: DatasetRef) -> pl.DataFrame:
    return scan(queries).filter(pl.col("split") == "train").select("query_id", "text").sort("query_id").collect()


def _documents(corpus: DatasetRef, rows: pl.DataFrame, text: str) -> pl.DataFrame:
    """Read the texts of the documents in `rows` alone."""
    needed = rows.select("doc_id").unique().lazy()
    return scan(corpus).join(needed, on="doc_id", how="semi").select("doc_id", text=texts.document_text(text)).collect()


def _training_pairs(
    fused: DatasetRef, queries: DatasetRef, qrels: DatasetRef, corpus: DatasetRef, text: str, config: FitConfig
) -> pl.DataFrame:
    wanted = _train_queries(queries)
    names = ("max_queries", "max_judged_negatives", "num_presumed", "presumed_from_rank", "presumed_to_rank")
    chosen = pairs.pairs_to_train(
        read(fused),
        read(qrels),
        wanted["query_id"],
        num_easy=config.num_easy,
        seed=config.seed,
        **{name: getattr(config, name) for name in names},
    )
    return pairs.with_texts(chosen, wanted, _documents(corpus, chosen, text))


def _cosines(job: Job, base: "encoders.Encoder", table: pl.DataFrame, config: FitConfig) -> pl.Series:
    found = cross_encoders.find_cosines(
        base,
        table.select("query", "document").rows(),
        max_query_tokens=config.max_query_tokens,
        max_document_tokens=config.max_document_tokens,
        batch_tokens=job.batch_tokens,
    )
    return pl.Series("cosine", found, dtype=pl.Float32)


def _fit_fold(job: Job, base: "encoders.Encoder", table: pl.DataFrame, target: Path, config: FitConfig) -> None:
    """Train one fold's model; the folder appears only when it is whole."""
    num_layers = min(config.num_layers, cross_encoders.count_layers(base))
    network = cross_encoders.CrossEncoder(base, num_layers=num_layers, seed=config.seed)
    steps = fit.count_steps(table, num_epochs=config.num_epochs, batch_queries=config.batch_queries)
    with job.progress(steps, "steps") as advance:
        names = ("learning_rate", "head_learning_rate", "num_epochs", "batch_queries", "seed")
        limits = ("max_query_tokens", "max_document_tokens")
        loss = fit.train_cross_encoder(
            network,
            table,
            table["cosine"].to_numpy(writable=True),
            progress=advance,
            **{name: getattr(config, name) for name in (*names, *limits)},
        )
    unfinished = target.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    network.save(unfinished)
    facts = {"num_pairs": len(table), "num_queries": table.select("language", "query_id").n_unique(), "loss": loss}
    (unfinished / "fit.json").write_text(json.dumps(facts, sort_keys=True) + "\n")
    unfinished.rename(target)


def _judge(
    job: Job,
    config: ScoreConfig,
    encoder: DatasetRef | None,
    cross_encoder: DatasetRef | None,
    fit_config: FitConfig | None,
    ready: ReadyConfig | None,
) -> Callable[[pl.DataFrame, Callable[[int], None]], pl.DataFrame]:
    """Load what scores: the ready cross-encoder, or one model per fold."""
    limits: dict[str, Any] = {
        "max_query_tokens": config.max_query_tokens,
        "max_document_tokens": config.max_document_tokens,
        "batch_tokens": job.batch_tokens,
    }
    if ready is not None and ready.cross_encoder is not None:
        model = classifiers.PairClassifier.load(ready.cross_encoder, device=job.device)
        return lambda rows, advance: rerank.score_with_judge(rows, model, progress=advance, **limits)
    if encoder is None or cross_encoder is None or fit_config is None:
        raise ValueError(
            "score_candidates: expected either a ready cross-encoder or encoder, cross_encoder and fit_config, got "
            "neither. Configure denoise.cross_encoder, or fit one."
        )
    base = encoders.shared_encoder(folder(encoder) / "model", job.device)
    models = {
        fold: cross_encoders.CrossEncoder.load(folder(cross_encoder) / f"fold-{fold}", encoder=base)
        for fold in range(fit_config.num_folds)
    }
    num_folds, seed = fit_config.num_folds, fit_config.seed
    return lambda rows, advance: rerank.score_with_folds(
        folds.with_folds(rows, num_folds=num_folds, seed=seed), models, progress=advance, **limits
    )


@contextmanager
def _newly(job: Job, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """A progress bar that is told what is newly done."""
    done = 0
    with job.progress(total, unit) as advance:

        def add(number: int) -> None:
            nonlocal done
            done += number
            advance(done)

        yield add
