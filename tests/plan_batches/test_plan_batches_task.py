"""find_topics and plan_batches on a store of two small languages."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from support.loom import SURROUNDINGS
from support.plan_data import Language, plain_language
from support.steps import declare

from storage import read, scan
from tasks.engine.build import build, state
from tasks.engine.code import body_code
from tasks.engine.job import Job
from tasks.engine.step import Promise, Step
from tasks.plan_batches.config import FastTextModels, PlanBatchesConfig
from tasks.plan_batches.shares import plan_shares
from tasks.steps import classify_topics, find_topics, plan_batches

pytestmark = pytest.mark.slow  # whole steps and training runs: not of the quick round

FASTTEXT_TASK = "tasks.plan_batches.fasttext_task"
LANGUAGES: dict[str, Language] = {
    "en": plain_language("en", 30, num_topics=2),
    "sw": plain_language("sw", 10, num_topics=2),
}
CONFIG = PlanBatchesConfig(batch_size=4, num_negatives=3)


@declare(produces="queries")
def give_queries(job: Job, *, language: str) -> None:
    """Write the language's queries."""
    given = pl.lit("given").alias("origin")
    job.out.write(LANGUAGES[language].queries.with_columns(given, parent=pl.lit(None, pl.String)))


@declare(produces="qrels")
def give_qrels(job: Job, *, language: str) -> None:
    """Write the language's judgements."""
    job.out.write(LANGUAGES[language].qrels)


@declare(produces="corpus")
def give_corpus(job: Job, *, language: str) -> None:
    """Write a document for each positive."""
    documents = LANGUAGES[language].qrels["doc_id"]
    job.out.write(pl.DataFrame({"doc_id": documents, "title": "About " + documents, "text": documents}))


@declare(produces="embeddings")
def give_embeddings(job: Job, *, language: str) -> None:
    """Write vectors that point to the topic, in two parts."""
    data = LANGUAGES[language]
    vectors = np.array([[1.0, 0.1] if topic else [0.1, 1.0] for topic in data.topic.values()], dtype=np.float16)
    frame = pl.DataFrame({"id": data.qrels["doc_id"], "vector": vectors})
    job.out.write(frame[:5])
    job.out.write(frame[5:])


@declare(produces="hard_negatives")
def give_ledger(job: Job, *, language: str) -> None:
    """Write the language's ledger."""
    ledger = LANGUAGES[language].ledger
    job.out.write(
        ledger.select(
            "query_id",
            "doc_id",
            rank=pl.col("hardness"),
            fused_score=pl.lit(0.0, pl.Float32),
            systems=pl.lit([], pl.List(pl.Struct({"system": pl.String, "rank": pl.Int32, "score": pl.Float32}))),
            judge=pl.lit("none"),
            raw=pl.lit(0.0, pl.Float32),
            probability=pl.lit(0.0, pl.Float32),
            grade="grade",
            relevance=pl.lit(None, pl.Int32),
            decision="decision",
            reason="reason",
            hardness="hardness",
            origin=pl.lit("given"),
            generated_id=pl.lit(None, pl.String),
            generated_text=pl.lit(None, pl.String),
        )
    )


def of(given: Any) -> dict[str, Promise]:
    return {name: given(name, language=name) for name in LANGUAGES}


def steps(config: PlanBatchesConfig = CONFIG, num_topics: int = 2) -> tuple[Promise, Promise]:
    queries, qrels = of(give_queries), of(give_qrels)
    topics = find_topics(
        embeddings=of(give_embeddings), corpus=of(give_corpus), queries=queries, qrels=qrels, num_topics=num_topics
    )
    given = {"hard_negatives": of(give_ledger), "queries": queries, "qrels": qrels, "topics": topics}
    plan = plan_batches(**given, corpus=of(give_corpus), text="title_and_text", config=config)
    return topics, plan


def build_all(step: Promise, root: str) -> None:
    for needed in step.inputs.values():
        build_all(needed, root)
    if not state(step, root).cached:
        build(step, root, SURROUNDINGS)


def test_topics_and_plan_are_built_and_labelled(tmp_path: Path) -> None:
    topics, plan = steps()
    build_all(plan, str(tmp_path))
    found = read(topics.ref(str(tmp_path)))
    assert found.height == 40
    assert found["topic"].value_counts().sort("topic").rows() == [(0, 20), (1, 20)]
    assert found["label"].str.contains("About en").all()
    rows = read(plan.ref(str(tmp_path)))
    assert rows.height == 40
    assert rows.group_by("language").len().sort("language").rows() == [("en", 20), ("sw", 20)]
    shares = plan_shares(scan(topics.ref(str(tmp_path))), scan(plan.ref(str(tmp_path))))
    assert shares.select("name", "share_before", "share_planned").rows()[:2] == [("en", 0.75, 0.5), ("sw", 0.25, 0.5)]


def test_plan_is_built_the_same_again(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        _, plan = steps()
        build_all(plan, str(tmp_path / name))
        contents.append(state(plan, str(tmp_path / name)).manifest.content)
    assert contents[0] == contents[1]


def test_seed_of_the_plan_leaves_topics_cached() -> None:
    topics, plan = steps()
    other_topics, other_plan = steps(CONFIG.model_copy(update={"seed": 7}))
    assert topics.fingerprint == other_topics.fingerprint
    assert plan.fingerprint != other_plan.fingerprint


def test_planning_knows_nothing_of_how_topics_are_found() -> None:
    _, modules = body_code(plan_batches.path)
    assert "tasks.plan_batches.plan" in modules
    assert "tasks.plan_batches.topics" not in modules
    assert steps()[0].fingerprint != steps(num_topics=3)[0].fingerprint


def test_classifies_with_fasttext_when_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Classifier:
        def __init__(self, path: str) -> None:
            self.label = "__label__4" if Path(path).name == "dbpedia.bin" else "__label__6"

        def predict(self, line: str, k: int) -> tuple[tuple[str, ...], tuple[float, ...]]:
            assert line.startswith("about ")
            assert k == -1  # all labels
            return (self.label,), (1.0,)

    monkeypatch.setitem(sys.modules, "fasttext", SimpleNamespace(load_model=Classifier))
    monkeypatch.delitem(sys.modules, FASTTEXT_TASK, raising=False)
    for name in ("dbpedia.bin", "yahoo_answers.bin"):
        (tmp_path / name).write_bytes(b"")
    step = Step(classify_topics.path, produces="topics")  # one whose body was not imported before
    models = FastTextModels(folder=str(tmp_path))
    given = {"corpus": of(give_corpus), "queries": of(give_queries), "qrels": of(give_qrels)}
    topics = step(models=models, digests=("1", "2"), **given)
    build_all(topics, str(tmp_path))
    assert read(topics.ref(str(tmp_path))).select("label", "confidence").unique().rows() == [("Sports", 1.0)]
    moved = step(models=FastTextModels(folder="elsewhere"), digests=("1", "2"), **given)
    others = step(models=models, digests=("1", "3"), **given)
    assert moved.fingerprint == topics.fingerprint != others.fingerprint


def test_fasttext_is_asked_for_only_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fasttext", None)
    for name in (FASTTEXT_TASK, "tasks.plan_batches.task"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.import_module("tasks.plan_batches.task")
    with pytest.raises(
        ModuleNotFoundError, match=r"expected the package fasttext-predict.* Install polyloom\[fasttext\]"
    ):
        importlib.import_module(FASTTEXT_TASK)
