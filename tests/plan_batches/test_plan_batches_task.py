"""find_topics and plan_batches on a store of two small languages."""

from pathlib import Path
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
from tasks.engine.step import Promise
from tasks.plan_batches.config import PlanBatchesConfig, TopicsConfig
from tasks.plan_batches.shares import plan_shares
from tasks.steps import find_topics, plan_batches

pytestmark = pytest.mark.slow  # whole stages and training runs: not of the quick round

LANGUAGES: dict[str, Language] = {
    "en": plain_language("en", 30, num_topics=2),
    "sw": plain_language("sw", 10, num_topics=2),
}
CONFIG = PlanBatchesConfig(batch_size=4, num_negatives=3, topics=TopicsConfig(num_topics=2))


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


def steps(config: PlanBatchesConfig = CONFIG) -> tuple[Promise, Promise]:
    def of(given: Any) -> dict[str, Promise]:
        return {name: given(name, language=name) for name in LANGUAGES}

    queries, qrels = of(give_queries), of(give_qrels)
    topics = find_topics(
        embeddings=of(give_embeddings), corpus=of(give_corpus), queries=queries, qrels=qrels, config=config.topics
    )
    plan = plan_batches(hard_negatives=of(give_ledger), queries=queries, qrels=qrels, topics=topics, config=config)
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
    other = CONFIG.model_copy(update={"topics": TopicsConfig(num_topics=2, seed=99)})
    assert steps()[0].fingerprint != steps(other)[0].fingerprint


def test_classifies_with_fasttext_when_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def classify(model: Path, lines: list[str]) -> list[dict[str, float]]:
        assert lines[0].startswith("about en000")
        return [{"__label__4" if model.name == "dbpedia.bin" else "__label__6": 1.0} for _ in lines]

    monkeypatch.setattr(
        "tasks.plan_batches.task.fasttext_models", type("fake", (), {"classify": staticmethod(classify)})
    )
    config = TopicsConfig(method="fasttext", dbpedia_model="dbpedia.bin", yahoo_model="yahoo_answers.bin")
    topics, _ = steps(CONFIG.model_copy(update={"topics": config}))
    build_all(topics, str(tmp_path))
    assert read(topics.ref(str(tmp_path))).select("label", "confidence").unique().rows() == [("Sports", 1.0)]
