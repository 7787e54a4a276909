"""Third stage, the default judge: train judgements and fused candidates -> a cross-encoder per fold of the queries."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from storage import DatasetRef, fingerprint, folder, load, read, scan
from tasks.denoise.config import FitConfig
from tasks.stage import Job, deferred, stage

if TYPE_CHECKING:
    from tasks.denoise import fit, folds, inputs, pairs
    from tasks.models import cross_encoder as cross_encoders
    from tasks.models import encoder as encoders
else:
    cross_encoders = deferred("tasks.models.cross_encoder")
    encoders = deferred("tasks.models.encoder")
    fit = deferred("tasks.denoise.fit")
    folds = deferred("tasks.denoise.folds")
    inputs = deferred("tasks.denoise.inputs")
    pairs = deferred("tasks.denoise.pairs")

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
    data = [encoder, *fused.values(), *queries.values(), *qrels.values(), *corpus.values()]
    scratch = job.scratch / fingerprint([load(ref).content for ref in data])
    table = pl.concat(
        [
            _training_pairs(fused[language], queries[language], qrels[language], corpus[language], text, config).select(
                pl.lit(language).alias("language"), pl.all()
            )
            for language in sorted(fused)
        ]
    )
    table = folds.with_folds(table, num_folds=config.num_folds, seed=config.seed)
    encoders.forget_encoder()
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


def _training_pairs(
    fused: DatasetRef, queries: DatasetRef, qrels: DatasetRef, corpus: DatasetRef, text: str, config: FitConfig
) -> pl.DataFrame:
    wanted = inputs.train_queries(scan(queries))
    names = ("max_queries", "max_judged_negatives", "num_presumed", "presumed_from_rank", "presumed_to_rank")
    chosen = pairs.pairs_to_train(
        read(fused),
        read(qrels),
        wanted["query_id"],
        num_easy=config.num_easy,
        seed=config.seed,
        **{name: getattr(config, name) for name in names},
    )
    return pairs.with_texts(chosen, wanted, inputs.documents(scan(corpus), chosen, text=text))


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
