"""Third stage, the decisions: raw scores -> probabilities and grades -> the ledger of hard negatives."""

import json

import polars as pl

from storage import DatasetRef, folder, read, scan
from tasks.denoise import calibrate, reliability, select
from tasks.denoise import ledger as ledgers
from tasks.denoise.config import SelectConfig
from tasks.denoise.pairs import PAIR, train_queries
from tasks.engine.job import Job
from tasks.models.texts import document_text, find_echoes, same_text

_MIN_JUDGED = 20  # relevant, and not relevant, pairs; a language with fewer takes those of all languages
_RELIABILITY_BINS = 5  # of a language


def calibrate_scores(
    job: Job,
    *,
    raw_scores: dict[str, DatasetRef],
    fused: dict[str, DatasetRef],
    qrels: dict[str, DatasetRef],
    prior: float,
    presumed_ranks: tuple[int, int],
) -> None:
    """Fit the curves from raw score to probability on judged pairs."""
    judged, presumed = [], []
    for language in sorted(raw_scores):
        scores = scan(raw_scores[language]).select(*PAIR, "raw", "without_reference", language=pl.lit(language))
        labels = scan(qrels[language])
        judged.append(
            scores.join(labels, on=PAIR).select("language", "raw", "relevance", "without_reference").collect()
        )
        middling = scan(fused[language]).filter(pl.col("rank").is_between(*presumed_ranks))
        unjudged = scores.join(middling, on=PAIR, how="semi").join(labels, on=PAIR, how="anti")
        presumed.append(unjudged.select("language", "raw").collect())
    comparable = calibrate.comparable_pairs(pl.concat(judged), min_positive=_MIN_JUDGED)
    comparable = comparable.sort("language", "raw", "relevance")
    curves = calibrate.fit_curves(
        comparable,
        pl.concat(presumed).sort("language", "raw"),
        prior=prior,
        min_positive=_MIN_JUDGED,
        min_negative=_MIN_JUDGED,
    )
    for language, curve in curves.items():
        if curve.fitted_on != calibrate.JUDGED:
            job.log.warning("%s: too few judged pairs, calibrated on %s ones", language, curve.fitted_on)
    job.out.write(reliability.reliability_table(comparable, curves, prior=prior, num_bins=_RELIABILITY_BINS))
    target = job.scratch / "curves"
    target.mkdir(exist_ok=True)
    content = {language: curve.to_dict() for language, curve in curves.items()}
    (target / "calibration.json").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    job.out.add_folder(target, "curves")


def apply_calibration(
    job: Job, *, language: str, raw_scores: DatasetRef, calibration: DatasetRef, grade_cuts: tuple[float, float]
) -> None:
    """Turn raw scores into probabilities and grades."""
    content = json.loads((folder(calibration) / "curves" / "calibration.json").read_text())
    curve = calibrate.Curve(**content[language])
    job.out.write(calibrate.apply_curve(read(raw_scores), curve, grade_cuts=grade_cuts))


def select_hard_negatives(
    job: Job,
    *,
    fused: DatasetRef,
    scores: DatasetRef,
    qrels: DatasetRef,
    queries: DatasetRef,
    corpus: DatasetRef,
    text: str,
    config: SelectConfig,
) -> None:
    """Decide on every candidate of the train queries: the ledger."""
    candidates = scan(fused).join(train_queries(scan(queries)).lazy(), on="query_id", how="semi").collect()
    judged = read(qrels)
    texts, echoes = _read_texts(corpus, text, queries, candidates, judged)
    ledger = select.select_hard_negatives(candidates, read(scores), judged, config, texts, echoes)
    job.out.write(ledgers.as_given(ledger))


def extend_hard_negatives(
    job: Job,
    *,
    hard_negatives: DatasetRef,
    new_candidates: DatasetRef,
    scores: list[DatasetRef],
    qrels: DatasetRef,
    queries: DatasetRef,
    corpus: DatasetRef,
    text: str,
    config: SelectConfig,
) -> None:
    """Decide on later candidates as on the given ones, and fill the ledger up with the safe ones."""
    candidates, judged = read(new_candidates), read(qrels)
    decided = select.select_hard_negatives(
        candidates.drop("generated_id", "generated_text"),
        pl.concat([read(ref) for ref in scores]).unique(PAIR, keep="first", maintain_order=True),
        judged,
        config,
        *_read_texts(corpus, text, queries, candidates, judged),
    )
    extended = ledgers.extend_ledger(read(hard_negatives), decided, candidates, num_negatives=config.num_negatives)
    job.out.write(extended)


def _read_texts(
    corpus: DatasetRef, text: str, queries: DatasetRef, *named: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return of the documents that some tables name: doc_id and `same`, equal where the texts are; and the echoes."""
    wanted = pl.concat([table.select("doc_id") for table in named]).unique().lazy()
    documents = scan(corpus).join(wanted, on="doc_id", how="semi")
    numbers = documents.select("doc_id", text=document_text(text)).select("doc_id", same=same_text("text").hash())
    # No more of the corpus in memory than the numbers.
    return numbers.collect(engine="streaming"), find_echoes(scan(queries), documents)


def relabel_candidates(job: Job, *, qrels: DatasetRef, hard_negatives: DatasetRef) -> None:
    """Add what the ledger relabelled to the judgements: to train on, never to measure or calibrate."""
    job.out.write(ledgers.relabel(read(qrels), read(hard_negatives)))
