"""New candidates on a store: which pairs are scored, once, and how they fill the ledger up."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from support.loom import SURROUNDINGS
from support.steps import declare

import storage
from tasks import steps
from tasks.denoise.config import CrossEncoderConfig, DenoiseConfig
from tasks.engine.build import build, state
from tasks.engine.job import Job
from tasks.engine.step import Promise
from tasks.models.pair_classifier import PairClassifier

PAIR = {"query_id": pl.String, "doc_id": pl.String}
SYSTEMS = [{"system": "bm25", "rank": 1, "score": 1.0}]
CONFIG = DenoiseConfig(num_negatives=3, strategy="threshold", score="raw", max_score=0.5)


@declare(produces="corpus")
def write_corpus(job: Job) -> None:
    """Write documents; the judge below finds d7 and d8 relevant."""
    rows = [(f"d{n}", f"title {n}", f"text {n}") for n in range(10)]
    job.out.write(pl.DataFrame(rows, schema=dict.fromkeys(["doc_id", "title", "text"], pl.String), orient="row"))


@declare(produces="queries")
def write_queries(job: Job) -> None:
    """Write two train queries."""
    rows = [(f"q{n}", f"query {n}", "train", "given", None) for n in (1, 2)]
    names = ["query_id", "text", "split", "origin", "parent"]
    job.out.write(pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row"))


@declare(produces="qrels")
def write_qrels(job: Job) -> None:
    """Judge one document relevant for each, and one of the new candidates not relevant."""
    rows = [("q1", "d0", 1), ("q2", "d0", 1), ("q1", "d8", 0)]
    job.out.write(pl.DataFrame(rows, schema=PAIR | {"relevance": pl.Int32}, orient="row"))


@declare(produces="fused")
def write_fused(job: Job) -> None:
    """Give q1 one candidate and q2 three."""
    rows = [("q1", "d1", 1), ("q2", "d1", 1), ("q2", "d2", 2), ("q2", "d3", 3)]
    job.out.write(ranked(rows))


@declare(produces="scores")
def write_scores(job: Job) -> None:
    """Score the candidates and positives."""
    rows = [("q1", "d0"), ("q1", "d1"), ("q2", "d0"), ("q2", "d1"), ("q2", "d2"), ("q2", "d3")]
    table = pl.DataFrame(rows, schema=PAIR, orient="row")
    job.out.write(
        table.with_columns(judge=pl.lit("j"), raw=pl.lit(0.1), probability=pl.lit(0.1), grade=pl.lit(0)).cast(
            {"raw": pl.Float32, "probability": pl.Float32, "grade": pl.Int32}
        )
    )


@declare(produces="raw_scores")
def write_raw(job: Job) -> None:
    """Say which pairs are scored already."""
    rows = [("q1", "d0", "j", 0.1, False), ("q1", "d1", "j", 0.1, False), ("q1", "d8", "j", 0.9, False)]
    columns = {"judge": pl.String, "raw": pl.Float32, "without_reference": pl.Boolean}
    job.out.write(pl.DataFrame(rows, schema=PAIR | columns, orient="row"))


@declare(produces="scores")
def calibrate(job: Job, *, raw: storage.DatasetRef, known: storage.DatasetRef) -> None:
    """Take the raw scores for probabilities."""
    table = pl.concat([storage.read(raw), storage.read(known).filter(pl.col("doc_id") == "d8")])
    table = table.with_columns(probability="raw", grade=pl.lit(0, dtype=pl.Int32))
    job.out.write(table.drop("without_reference"))


@declare(produces="new_candidates")
def write_new(job: Job, *, doc_ids: tuple[str, ...]) -> None:
    """Write new candidates of q1."""
    rows = [("q1", doc_id, rank) for rank, doc_id in enumerate(doc_ids, start=1)]
    job.out.write(ranked(rows).with_columns(generated_id=pl.lit("q1~1"), generated_text=pl.lit("new?")))


def ranked(rows: list[tuple[str, str, int]]) -> pl.DataFrame:
    table = pl.DataFrame(rows, schema=PAIR | {"rank": pl.Int32}, orient="row")
    systems = pl.Series(
        "systems",
        [SYSTEMS] * table.height,
        dtype=pl.List(pl.Struct({"system": pl.String, "rank": pl.Int32, "score": pl.Float32})),
    )
    return table.with_columns(score=(1 / pl.col("rank")).cast(pl.Float32)).with_columns(systems)


def make(step: Promise, root: Path) -> pl.DataFrame:
    for needed in step.inputs.values():
        make(needed, root)
    if not state(step, str(root)).cached:
        build(step, str(root), SURROUNDINGS)
    return storage.read(step.ref(str(root)))


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Record what is scored: the judge finds documents relevant by their number."""
    pairs: list[tuple[str, str]] = []

    class Judge:
        def score_pairs(self, texts: list[tuple[str, str]], *, progress: Any, **_: Any) -> Any:
            documents = [document.removeprefix("text ") for _, document in texts]
            pairs.extend(
                (query.replace("query ", "q"), f"d{n}") for (query, _), n in zip(texts, documents, strict=True)
            )
            progress(len(texts))
            return np.array([n in "78" for n in documents], dtype=np.float32)

    monkeypatch.setattr("tasks.denoise.cross_encoder_task.locate_model", lambda name: Path())
    monkeypatch.setattr(PairClassifier, "load", lambda *_, **__: Judge())
    return pairs


def score(*doc_ids: str, **changed: Any) -> Promise:
    arguments: dict[str, Any] = {"cross_encoder": CrossEncoderConfig(model="x"), "digest": "d"}
    arguments |= {"max_query_tokens": 16, "max_document_tokens": 32}
    return steps.score_pairs(
        "en",
        candidates=write_new("en", doc_ids=doc_ids),
        known=write_raw("en"),
        queries=write_queries("en"),
        qrels=write_qrels("en"),
        corpus=write_corpus("en"),
        text="text",
        **arguments | changed,
    )


def ledger(*doc_ids: str, config: DenoiseConfig = CONFIG) -> Promise:
    shared: dict[str, Any] = {"queries": write_queries("en"), "qrels": write_qrels("en"), "corpus": write_corpus("en")}
    given = steps.select_hard_negatives(
        "en",
        fused=write_fused("en"),
        scores=write_scores("en"),
        config=config.select,
        text="text",
        **shared,
    )
    return steps.extend_hard_negatives(
        "en",
        hard_negatives=given,
        new_candidates=write_new("en", doc_ids=doc_ids),
        scores=[write_scores("en"), calibrate("en", raw=score(*doc_ids), known=write_raw("en"))],
        config=config.select,
        text="text",
        **shared,
    )


def test_only_pairs_without_a_score_are_scored(scored: list[tuple[str, str]], tmp_path: Path):
    rows = make(score("d0", "d7", "d8", "d9"), tmp_path)
    assert scored == [("q1", "d7"), ("q1", "d9")]
    assert rows.select("doc_id", "raw").rows() == [("d7", 1.0), ("d9", 0.0)]


def test_other_candidates_score_no_pair_twice(scored: list[tuple[str, str]], tmp_path: Path):
    make(score("d7", "d9"), tmp_path)
    rows = make(score("d9", "d5", "d7", "d6"), tmp_path)
    assert scored == [("q1", "d7"), ("q1", "d9"), ("q1", "d5"), ("q1", "d6")]
    assert rows["doc_id"].to_list() == ["d5", "d6", "d7", "d9"]
    make(score("d6", "d7"), tmp_path)
    assert len(scored) == 4


def test_another_judge_scores_anew(scored: list[tuple[str, str]], tmp_path: Path):
    make(score("d7"), tmp_path)
    make(score("d7", digest="e"), tmp_path)
    make(score("d7", max_document_tokens=99), tmp_path)
    assert scored == [("q1", "d7")] * 3


def test_ledger_is_filled_up_with_safe_new_candidates(scored: list[tuple[str, str]], tmp_path: Path):
    rows = make(ledger("d7", "d0", "d8", "d9", "d5"), tmp_path)
    names = ("doc_id", "decision", "reason", "hardness", "origin", "generated_id", "generated_text")
    assert rows.filter(pl.col("query_id") == "q1").select(names).rows() == [
        ("d1", "kept", "safe", 1, "given", None, None),
        ("d7", "dropped", "score_above_max", None, "generated", "q1~1", "new?"),
        ("d0", "dropped", "judged_relevant", None, "generated", "q1~1", "new?"),
        ("d8", "kept", "judged_not_relevant", 2, "generated", "q1~1", "new?"),
        ("d9", "kept", "safe", 3, "generated", "q1~1", "new?"),
        ("d5", "dropped", "beyond_num_negatives", None, "generated", "q1~1", "new?"),
    ]
    assert rows.filter(pl.col("query_id") == "q2")["origin"].to_list() == ["given"] * 3


def test_without_new_candidates_the_ledger_is_the_given_one(scored: list[tuple[str, str]], tmp_path: Path):
    step = ledger()
    assert make(step, tmp_path).equals(make(step.arguments["hard_negatives"], tmp_path))
    assert scored == []


def test_changed_threshold_scores_nothing(scored: list[tuple[str, str]], tmp_path: Path):
    make(ledger("d7", "d9"), tmp_path)
    number = len(scored)
    rows = make(ledger("d7", "d9", config=CONFIG.model_copy(update={"max_score": 1.5})), tmp_path)
    assert rows.filter(pl.col("doc_id") == "d7")["decision"].to_list() == ["kept"]
    assert len(scored) == number
