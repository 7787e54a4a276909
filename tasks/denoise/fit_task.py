"""Third stage, the default judge: train judgements and fused candidates -> a judge per fold of the queries."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
from torch import nn

from storage import DatasetRef, fingerprint, folder, load, read, scan
from tasks.denoise import evidence, fit, folds, gather, inputs, pairs, tune
from tasks.denoise.config import FitConfig
from tasks.denoise.newly import newly
from tasks.engine.job import Job
from tasks.models import encoder as encoders
from tasks.models import top_layers

_FACTS = {
    "fold": pl.Int32,
    "num_pairs": pl.Int32,
    "num_queries": pl.Int32,
    "num_tuned": pl.Int32,
    "loss": pl.Float32,
}
_FACTS_FILE = "facts.json"


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
    """Fit one judge per fold of the queries, without the fold; a killed run goes on with the next language or fold."""
    data = [encoder, *fused.values(), *queries.values(), *qrels.values(), *corpus.values()]
    scratch = job.scratch / fingerprint([load(ref).content for ref in data])
    scratch.mkdir(exist_ok=True)
    found, tables = [], []
    for language in sorted(fused):
        table = _weighed(fused[language], queries[language], qrels[language], corpus[language], text, config)
        target = scratch / f"{language}.npz"
        if not target.exists():
            unfinished = target.with_suffix(".part.npz")
            np.savez(unfinished, **vars(_gather(job, encoder, table, config)))
            unfinished.rename(target)
        with np.load(target) as arrays:
            found.append(evidence.Evidence(**arrays))
        document = pl.when(pl.col("label").is_not_null()).then("document")  # of the others, evidence is all that counts
        tables.append(table.select("query_id", "query", document, "label", language=pl.lit(language)))
    table = folds.with_folds(pl.concat(tables), num_folds=config.num_folds, seed=config.seed)
    everything = evidence.join_evidence(found)
    tuned = config.tuned_layers > 0 and len(_questions(table, config)) >= config.min_tuned_queries  # all folds or none
    facts = []
    for fold in range(config.num_folds):
        target = scratch / f"fold-{fold}"
        if not target.exists():
            unfinished = scratch / f"fold-{fold}.part"
            shutil.rmtree(unfinished, ignore_errors=True)
            _fit_fold(job, encoder, everything, table, fold, unfinished, config, tuned=tuned)
            unfinished.rename(target)
        facts.append(json.loads((target / _FACTS_FILE).read_text()))
        job.out.add_folder(target, target.name)
    job.out.write(pl.DataFrame(facts, schema=_FACTS))


def _fit_fold(
    job: Job,
    encoder: DatasetRef,
    everything: "evidence.Evidence",
    table: pl.DataFrame,
    fold: int,
    target: Path,
    config: FitConfig,
    *,
    tuned: bool,
) -> None:
    """Fit the judge of one fold on the other folds' pairs, and write it and its facts into `target`."""
    rows = np.flatnonzero(table.select((pl.col("fold") != fold) & pl.col("label").is_not_null()).to_series().to_numpy())
    own = table[rows]
    with job.progress(config.num_steps, f"steps of fold {fold + 1}/{config.num_folds}") as advance:
        model, loss = fit.fit_evidence_model(
            everything.take(rows),
            own["label"].to_numpy(),
            strength=config.strength,
            reference_strength=config.reference_strength,
            relation_ridge=config.relation_ridge,
            num_steps=config.num_steps,
            progress=advance,
        )
    model.save(target)
    questions = _questions(own, config) if tuned else []
    if questions:
        top_layers.save_layers(_tune(job, encoder, questions, fold, config), target)
    numbers = (fold, len(own), own.select("language", "query_id").n_unique(), len(questions), loss)
    (target / _FACTS_FILE).write_text(json.dumps(dict(zip(_FACTS, numbers, strict=True))))


def _questions(table: pl.DataFrame, config: FitConfig) -> "list[tune.Question]":
    """What layers can be tuned on."""
    own = table.filter(pl.col("label").is_not_null())
    keys = [pairs.draw_key(config.seed, query_id) for query_id in own["query_id"]]
    return tune.draw_questions(
        own.with_columns(key=pl.Series(keys, dtype=pl.String)), max_queries=config.max_tuned_queries
    )


def _tune(
    job: Job, encoder: DatasetRef, questions: "list[tune.Question]", fold: int, config: FitConfig
) -> "nn.ModuleList":
    base = encoders.shared_encoder(folder(encoder) / "model", job.device)
    total = len(questions) * config.tuned_epochs
    with newly(job, total, f"queries of fold {fold + 1}/{config.num_folds}") as advance:
        return tune.tune_layers(
            questions,
            base,
            num_layers=config.tuned_layers,
            num_epochs=config.tuned_epochs,
            learning_rate=config.tuned_learning_rate,
            queries_per_batch=config.tuned_batch_queries,
            max_query_tokens=config.max_query_tokens,
            max_document_tokens=config.max_document_tokens,
            batch_tokens=job.batch_tokens,
            seed=config.seed,
            progress=advance,
        )


def _weighed(
    fused: DatasetRef, queries: DatasetRef, qrels: DatasetRef, corpus: DatasetRef, text: str, config: FitConfig
) -> pl.DataFrame:
    """One language's training pairs and the pools of their queries, with texts."""
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
    table = pairs.pairs_to_weigh(read(fused), read(qrels), chosen)
    return pairs.with_texts(table, wanted, inputs.documents(scan(corpus), table, text=text))


def _gather(job: Job, encoder: DatasetRef, table: pl.DataFrame, config: FitConfig) -> "evidence.Evidence":
    base = encoders.shared_encoder(folder(encoder) / "model", job.device)
    with newly(job, len(table), "pairs") as advance:
        return gather.gather_evidence(
            table,
            base,
            max_query_tokens=config.max_query_tokens,
            max_document_tokens=config.max_document_tokens,
            batch_tokens=job.batch_tokens,
            progress=advance,
        )
