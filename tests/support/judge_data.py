"""A small judging task: three train queries, six candidates each, calibrated scores; and the LLM judge on it."""

import sys
from typing import Any

import polars as pl
from support.loom import SURROUNDINGS
from support.steps import declare

import storage
from tasks.denoise.config import LlmConfig
from tasks.engine.build import build, state
from tasks.engine.job import Job
from tasks.engine.step import Promise
from tasks.steps import apply_verdicts, judge_pairs, score_verdicts

QUERIES = ("q1", "q2", "q3")
CANDIDATES = ("a", "b", "c", "d", "e", "f")
PROBABILITY = {"p": 0.9, "a": 0.8, "b": 0.5, "c": 0.3, "d": 0.2, "e": 0.1, "f": 0.01}
# Of each query, p is the positive (and no candidate), a is judged not relevant; q3 has a second positive, b.
JUDGED = [(query, "p", 1) for query in QUERIES] + [(query, "a", 0) for query in QUERIES] + [("q3", "b", 1)]


@declare(produces="corpus")
def write_corpus(job: Job) -> None:
    """Write the documents."""
    rows = [(doc_id, f"title {doc_id}", f"text of {doc_id}") for doc_id in PROBABILITY]
    job.out.write(pl.DataFrame(rows, schema=["doc_id", "title", "text"], orient="row"))


@declare(produces="queries")
def write_queries(job: Job) -> None:
    """Write the queries, and one of another split."""
    rows = [(query, f"question {query}", "train", "given", None) for query in QUERIES]
    names = ["query_id", "text", "split", "origin", "parent"]
    rows.append(("q4", "question q4", "dev", "given", None))
    job.out.write(pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row"))


@declare(produces="qrels")
def write_qrels(job: Job) -> None:
    """Write the judgements."""
    schema = {"query_id": pl.String, "doc_id": pl.String, "relevance": pl.Int32}
    job.out.write(pl.DataFrame(JUDGED, schema=schema, orient="row"))


@declare(produces="fused")
def write_fused(job: Job) -> None:
    """Write the candidates of all queries."""
    rows = [
        {"query_id": query, "doc_id": doc_id, "rank": rank, "score": 1.0 / rank, "systems": [_found(rank)]}
        for query in (*QUERIES, "q4")
        for rank, doc_id in enumerate(CANDIDATES, start=1)
    ]
    job.out.write(pl.DataFrame(rows).with_columns(pl.col("rank").cast(pl.Int32)))


def _found(rank: int) -> dict[str, Any]:
    return {"system": "bm25", "rank": rank, "score": 1.0}


@declare(produces="scores")
def write_scores(job: Job) -> None:
    """Write what a first judge found."""
    rows = [
        (query, doc_id, "fold-0", probability * 10, probability, 2 if probability > 0.6 else 0)
        for query in QUERIES
        for doc_id, probability in PROBABILITY.items()
    ]
    names = {"query_id": pl.String, "doc_id": pl.String, "judge": pl.String}
    scores = {"raw": pl.Float32, "probability": pl.Float32, "grade": pl.Int32}
    job.out.write(pl.DataFrame(rows, schema=names | scores, orient="row").sort("query_id", "doc_id"))


def settings(url: str, **given: Any) -> LlmConfig:
    """The LLM judge at this server; `chat` adds to the client's settings."""
    chat = {"model": "scripted", "base_url": url, "max_concurrency": 2} | given.pop("chat", {})
    return LlmConfig(chat=chat, **{"num_samples": 3} | given)


def verdicts(config: LlmConfig, band: tuple[float, float] | None = None, identity: str = "scripted") -> Promise:
    """Promise the verdicts; in a cascade where there is a band."""
    inputs = {"candidates": write_fused("sw"), "queries": write_queries("sw"), "qrels": write_qrels("sw")}
    cascade = {"scores": write_scores("sw"), "band": band} if band else {}
    return judge_pairs(
        "sw",
        corpus=write_corpus("sw"),
        text="title_and_text",
        llm=config.asked,
        identity=identity,
        num_samples=config.num_samples,
        max_document_characters=config.max_document_characters,
        **inputs,
        **cascade,
    )


def graded(config: LlmConfig, band: tuple[float, float]) -> Promise:
    """Promise the scores of a cascade."""
    found = verdicts(config, band)
    return apply_verdicts("sw", scores=write_scores("sw"), verdicts=found, vote=config.vote)


def scored(config: LlmConfig) -> Promise:
    """Promise the raw scores of the LLM as the only judge."""
    return score_verdicts("sw", verdicts=verdicts(config), vote=config.vote)


def make(promise: Promise, root: str) -> pl.DataFrame:
    """Build a Promise and what it needs, where it is missing, and read it."""
    for needed in promise.inputs.values():
        make(needed, root)
    if not state(promise, root).cached:
        build(promise, root, SURROUNDINGS)
    return storage.read(promise.ref(root))


if __name__ == "__main__":  # python -m support.judge_data STORE URL: judge once, in a process that can be killed
    make(verdicts(settings(sys.argv[2])), sys.argv[1])
