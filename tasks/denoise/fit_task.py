"""Third stage, the default judge: train judgements and fused candidates -> a judge per fold of the queries."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from storage import DatasetRef, fingerprint, folder, load, read, scan
from tasks.denoise.config import FitConfig
from tasks.stage import Job, deferred, stage

if TYPE_CHECKING:
    from tasks.denoise import evidence, fit, folds, gather, inputs, pairs
    from tasks.models import encoder as encoders
else:
    encoders = deferred("tasks.models.encoder")
    evidence = deferred("tasks.denoise.evidence")
    fit = deferred("tasks.denoise.fit")
    folds = deferred("tasks.denoise.folds")
    gather = deferred("tasks.denoise.gather")
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
    """Fit one judge per fold of the queries, without the fold; a killed run goes on with the next language."""
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
        tables.append(table.select("query_id", "label", language=pl.lit(language)))
    table = folds.with_folds(pl.concat(tables), num_folds=config.num_folds, seed=config.seed)
    everything = evidence.join_evidence(found)
    facts = []
    with job.progress(config.num_folds * config.num_steps, "steps") as advance:
        for fold in range(config.num_folds):
            trained = (pl.col("fold") != fold) & pl.col("label").is_not_null()
            rows = np.flatnonzero(table.select(trained).to_series().to_numpy())
            own = table[rows]
            model, loss = fit.fit_evidence_model(
                everything.take(rows),
                own["label"].to_numpy(),
                strength=config.strength,
                reference_strength=config.reference_strength,
                relation_ridge=config.relation_ridge,
                num_steps=config.num_steps,
                progress=_after(fold * config.num_steps, advance),
            )
            model.save(scratch / f"fold-{fold}")
            job.out.add_folder(scratch / f"fold-{fold}", f"fold-{fold}")
            facts.append((fold, len(own), own.select("language", "query_id").n_unique(), loss))
    job.out.write(pl.DataFrame(facts, schema=_FACTS, orient="row"))


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
    done = 0
    with job.progress(len(table), "pairs") as advance:

        def add(number: int) -> None:
            nonlocal done
            done += number
            advance(done)

        return gather.gather_evidence(
            table,
            base,
            max_query_tokens=config.max_query_tokens,
            max_document_tokens=config.max_document_tokens,
            batch_tokens=job.batch_tokens,
            progress=add,
        )


def _after(before: int, advance: Callable[[int], None]) -> Callable[[int], None]:
    """Count on from the steps of earlier folds."""
    return lambda done: advance(before + done)
