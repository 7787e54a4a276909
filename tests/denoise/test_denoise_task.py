"""The stages on a store: cross-fitting, resuming, and which setting rebuilds what."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from support.loom import SURROUNDINGS
from support.tiny_model import write_tiny_encoder

import storage
from tasks.build import build, state
from tasks.denoise import fit, fit_task, score_task, task
from tasks.denoise.config import CalibrateConfig, DenoiseConfig, FitConfig, GradeConfig, ReadyConfig
from tasks.denoise.folds import fold_of
from tasks.models.cross_encoder import CrossEncoder
from tasks.stage import Job, Step, stage

pytestmark = pytest.mark.slow  # whole stages and training runs: not of the quick round

NUM_QUERIES, NUM_DOCUMENTS = 12, 9
WORDS = ["apple", "river", "stone", "cloud", "horse", "piano", "bread", "glass", "wheel", "torch", "lemon", "chair"]
CONFIG = DenoiseConfig(
    fit=FitConfig(
        num_folds=3, num_epochs=1, presumed_from_rank=3, presumed_to_rank=9, max_query_tokens=16, max_document_tokens=32
    ),
    rerank={"max_query_tokens": 16, "max_document_tokens": 32, "shard_queries": 5},
    calibrate=CalibrateConfig(min_positive=3, min_negative=3),
)
IDS = ["query_id", "doc_id"]


@stage(produces="corpus")
def write_corpus(job: Job, *, language: str) -> None:
    """Write documents of a word each, more or less."""
    rows = [(f"d{n}", WORDS[n], f"{WORDS[n]} {WORDS[n + 1]} {language}") for n in range(NUM_DOCUMENTS)]
    job.out.write(pl.DataFrame(rows, schema=["doc_id", "title", "text"], orient="row"))


@stage(produces="queries")
def write_queries(job: Job, *, language: str) -> None:
    """Write queries; the last one is of another split."""
    rows = [
        (f"{language}-q{n}", WORDS[n], "dev" if n == NUM_QUERIES - 1 else "train", "given", None)
        for n in range(NUM_QUERIES)
    ]
    names = ["query_id", "text", "split", "origin", "parent"]
    job.out.write(pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row"))


@stage(produces="qrels")
def write_qrels(job: Job, *, language: str) -> None:
    """Judge two documents of each query."""
    rows = [
        (f"{language}-q{n}", f"d{(n + shift) % NUM_DOCUMENTS}", relevance)
        for n in range(NUM_QUERIES)
        for shift, relevance in ((0, 1), (1, 0))
    ]
    schema = {"query_id": pl.String, "doc_id": pl.String, "relevance": pl.Int32}
    job.out.write(pl.DataFrame(rows, schema=schema, orient="row"))


@stage(produces="fused")
def write_fused(job: Job, *, language: str) -> None:
    """Every query has every document but one as a candidate."""
    rows = [
        {
            "query_id": f"{language}-q{n}",
            "doc_id": f"d{(n + shift) % NUM_DOCUMENTS}",
            "rank": shift,
            "score": 1.0 / shift,
            "systems": [{"system": "bm25", "rank": shift, "score": 1.0}],
        }
        for n in range(NUM_QUERIES)
        for shift in range(1, NUM_DOCUMENTS)
    ]
    job.out.write(pl.DataFrame(rows).with_columns(pl.col("rank").cast(pl.Int32)))


@stage(produces="encoder")
def write_encoder(job: Job) -> None:
    """Write a tiny encoder."""
    facts: dict[str, Any] = {"name": "tiny", "num_layers": 2, "hidden_size": 32, "num_parameters": 1}
    job.out.write(pl.DataFrame([{**facts, "vocabulary_size": 1, "digest": "d"}]))
    job.out.add_folder(write_tiny_encoder(job.scratch / "model", texts=WORDS), "model")


def woven(config: DenoiseConfig = CONFIG) -> dict[str, Step]:
    """Weave the stages as flows do, for two languages; named by stage and language."""
    languages = ("sw", "te")
    data = {
        name: {language: maker(language, language=language) for language in languages}
        for name, maker in (
            ("corpus", write_corpus),
            ("queries", write_queries),
            ("qrels", write_qrels),
            ("fused", write_fused),
        )
    }
    encoder = write_encoder()
    fitted = fit_task.fit_cross_encoder(encoder=encoder, text="title_and_text", config=config.fit, **data)
    raw = {
        language: score_task.score_candidates(
            language,
            encoder=encoder,
            cross_encoder=fitted,
            fit_config=config.fit,
            text="title_and_text",
            config=config.rerank,
            **{name: steps[language] for name, steps in data.items()},
        )
        for language in languages
    }
    curves = task.calibrate_scores(raw_scores=raw, fused=data["fused"], qrels=data["qrels"], config=config.calibrate)
    steps: dict[str, Step] = {"fit": fitted, "calibration": curves}
    for language in languages:
        scores = task.apply_calibration(
            language, language=language, raw_scores=raw[language], calibration=curves, config=config.grade
        )
        ledger = task.select_hard_negatives(
            language,
            fused=data["fused"][language],
            scores=scores,
            qrels=data["qrels"][language],
            queries=data["queries"][language],
            config=config.select,
        )
        steps |= {f"raw.{language}": raw[language], f"scores.{language}": scores, f"ledger.{language}": ledger}
    return steps


def make(step: Step, root: str) -> pl.DataFrame:
    """Build a Step and what it needs, where it is missing."""
    for needed in step.inputs.values():
        make(needed, root)
    if not state(step, root).cached:
        build(step, root, SURROUNDINGS)
    return storage.read(step.ref(root))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are many times slower on two threads when another process wants one of the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained_on() -> list[set[str]]:
    """Filled by `store`: the queries that each fold's model was trained on."""
    return []


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, trained_on: list[set[str]]) -> str:
    """A store with everything built, and a note of what each model saw."""
    root = str(tmp_path_factory.mktemp("store"))
    original = fit.train_cross_encoder

    def noting(network: CrossEncoder, table: pl.DataFrame, cosines: Any, **settings: Any) -> float:
        trained_on.append(set(table["query_id"]))
        return original(network, table, cosines, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "train_cross_encoder", noting)
        for step in woven().values():
            make(step, root)
    return root


def read(name: str, root: str) -> pl.DataFrame:
    return storage.read(woven()[name].ref(root))


def test_no_query_is_scored_by_a_model_that_saw_it(store: str, trained_on: list[set[str]]):
    assert len(trained_on) == 3
    for language in ("sw", "te"):
        for query_id, judge in read(f"raw.{language}", store).select("query_id", "judge").unique().rows():
            assert query_id not in trained_on[int(judge.removeprefix("fold-"))]


def test_each_model_sees_every_train_query_of_the_other_folds(store: str, trained_on: list[set[str]]):
    every = {f"{language}-q{n}" for language in ("sw", "te") for n in range(NUM_QUERIES - 1)}
    assert set().union(*trained_on) == every
    for fold, seen in enumerate(trained_on):
        assert seen == {query_id for query_id in every if fold_of(query_id, num_folds=3, seed=0) != fold}


def test_scores_cover_candidates_and_judged_of_train_queries(store: str):
    raw = read("raw.sw", store)
    assert len(raw) == (NUM_QUERIES - 1) * NUM_DOCUMENTS  # 8 candidates and the positive, which is none
    assert raw.select(*IDS).is_unique().all()
    assert "sw-q11" not in raw["query_id"]  # of the dev split


def test_fit_writes_a_row_and_a_folder_per_fold(store: str, trained_on: list[set[str]]):
    facts = read("fit", store)
    assert facts["fold"].to_list() == [0, 1, 2]
    assert facts["num_queries"].to_list() == [len(seen) for seen in trained_on]
    folder = storage.folder(woven()["fit"].ref(store))
    assert all((folder / f"fold-{fold}" / "cross_encoder.safetensors").is_file() for fold in range(3))


def test_ledger_has_every_candidate_of_the_train_queries(store: str):
    ledger = read("ledger.te", store)
    assert len(ledger) == (NUM_QUERIES - 1) * (NUM_DOCUMENTS - 1)
    assert set(ledger["decision"]) <= {"kept", "dropped"}
    assert ledger.filter(pl.col("relevance") == 0)["reason"].unique().to_list() == ["judged_not_relevant"]


def test_fitting_twice_gives_the_same_content(store: str, tmp_path: Path):
    step = woven()["fit"]
    make(step, str(tmp_path))
    assert storage.load(step.ref(str(tmp_path))).content == storage.load(step.ref(store)).content


def test_killed_fit_goes_on_with_the_next_fold(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    step, calls, original = woven()["fit"], [0], fit.train_cross_encoder

    def fails_once(network: CrossEncoder, table: pl.DataFrame, cosines: Any, **settings: Any) -> float:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt("stop")
        return original(network, table, cosines, **settings)

    monkeypatch.setattr(fit, "train_cross_encoder", fails_once)
    with pytest.raises(KeyboardInterrupt, match="stop"):
        make(step, str(tmp_path))
    make(step, str(tmp_path))
    assert calls[0] == 4  # one fold before, one that failed, two after
    assert storage.load(step.ref(str(tmp_path))).content == storage.load(step.ref(store)).content


@pytest.mark.parametrize(
    ("changed", "rebuilt"),
    [
        (DenoiseConfig(**CONFIG.model_dump() | {"max_probability": 0.25}), {"ledger"}),
        (DenoiseConfig(**CONFIG.model_dump() | {"strategy": "margin", "num_negatives": 3}), {"ledger"}),
        (CONFIG.model_copy(update={"grade": GradeConfig(partly=0.4)}), {"scores", "ledger"}),
        (
            CONFIG.model_copy(update={"calibrate": CalibrateConfig(prior=0.4)}),
            {"calibration", "scores", "ledger"},
        ),
    ],
)
def test_setting_rebuilds_only_what_reads_it(changed: DenoiseConfig, rebuilt: set[str]):
    before, after = woven(), woven(changed)
    differing = {name.partition(".")[0] for name in before if before[name].fingerprint != after[name].fingerprint}
    assert differing == rebuilt


def test_ready_cross_encoder_is_known_by_digest_not_by_name():
    inputs = {"fused": write_fused("sw", language="sw"), "queries": write_queries("sw", language="sw")}
    inputs |= {"qrels": write_qrels("sw", language="sw"), "corpus": write_corpus("sw", language="sw")}

    def step(name: str, digest: str) -> Step:
        ready = ReadyConfig(cross_encoder=name)
        settings: dict[str, Any] = {"text": "text", "config": CONFIG.rerank, "ready": ready, "digest": digest}
        return score_task.score_candidates("sw", **inputs, **settings)

    assert step("a", "1").fingerprint == step("b", "1").fingerprint
    assert step("a", "1").fingerprint != step("a", "2").fingerprint


def test_scoring_without_any_judge_is_an_error(tmp_path: Path):
    inputs = {"fused": write_fused("sw", language="sw"), "queries": write_queries("sw", language="sw")}
    inputs |= {"qrels": write_qrels("sw", language="sw"), "corpus": write_corpus("sw", language="sw")}
    with pytest.raises(ValueError, match="expected either a ready cross-encoder or encoder"):
        make(score_task.score_candidates("sw", **inputs, text="text", config=CONFIG.rerank), str(tmp_path))
