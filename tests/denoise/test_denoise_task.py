"""The stages on a store: cross-fitting, resuming, and which setting rebuilds what."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from support.loom import SURROUNDINGS
from support.steps import declare
from support.tiny_model import write_tiny_encoder

import storage
from tasks import steps
from tasks.denoise import gather, tune
from tasks.denoise.config import CalibrateConfig, DenoiseConfig, FitConfig, GradeConfig, ReadyConfig
from tasks.denoise.folds import fold_of
from tasks.denoise.pairs import ALONE
from tasks.engine.build import build, state
from tasks.engine.job import Job
from tasks.engine.step import Promise
from tasks.models.evidence_model import WEIGHTS_FILE
from tasks.models.top_layers import LAYERS_FILE

pytestmark = pytest.mark.slow  # whole stages and training runs: not of the quick round

NUM_QUERIES, NUM_DOCUMENTS = 12, 9
WORDS = ["apple", "river", "stone", "cloud", "horse", "piano", "bread", "glass", "wheel", "torch", "lemon", "chair"]
CONFIG = DenoiseConfig(
    fit=FitConfig(
        num_folds=3, num_steps=5, presumed_from_rank=3, presumed_to_rank=9, max_query_tokens=16, max_document_tokens=32
    ),
    rerank={"max_query_tokens": 16, "max_document_tokens": 32, "shard_queries": 5},
    calibrate=CalibrateConfig(min_positive=3, min_negative=3),
)
TUNED = CONFIG.model_copy(
    update={"fit": CONFIG.fit.model_copy(update={"tuned_layers": 1, "min_tuned_queries": 3, "tuned_epochs": 1})}
)
IDS = ["query_id", "doc_id"]


@declare(produces="corpus")
def write_corpus(job: Job, *, language: str) -> None:
    """Write documents of a word each, more or less."""
    rows = [(f"d{n}", WORDS[n], f"{WORDS[n]} {WORDS[n + 1]} {language}") for n in range(NUM_DOCUMENTS)]
    job.out.write(pl.DataFrame(rows, schema=["doc_id", "title", "text"], orient="row"))


@declare(produces="queries")
def write_queries(job: Job, *, language: str) -> None:
    """Write queries; the last one is of another split."""
    rows = [
        (f"{language}-q{n}", WORDS[n], "dev" if n == NUM_QUERIES - 1 else "train", "given", None)
        for n in range(NUM_QUERIES)
    ]
    names = ["query_id", "text", "split", "origin", "parent"]
    job.out.write(pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row"))


@declare(produces="qrels")
def write_qrels(job: Job, *, language: str, swapped: str | None = None) -> None:
    """Judge two documents of each query; of one query the wrong way round."""
    rows = [
        (f"{language}-q{n}", f"d{(n + shift) % NUM_DOCUMENTS}", relevance ^ (f"{language}-q{n}" == swapped))
        for n in range(NUM_QUERIES)
        for shift, relevance in ((0, 1), (1, 0))
    ]
    schema = {"query_id": pl.String, "doc_id": pl.String, "relevance": pl.Int32}
    job.out.write(pl.DataFrame(rows, schema=schema, orient="row"))


@declare(produces="fused")
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


@declare(produces="encoder")
def write_encoder(job: Job) -> None:
    """Write a tiny encoder."""
    facts: dict[str, Any] = {"name": "tiny", "num_layers": 2, "hidden_size": 32, "num_parameters": 1}
    job.out.write(pl.DataFrame([{**facts, "vocabulary_size": 1, "digest": "d"}]))
    job.out.add_folder(write_tiny_encoder(job.scratch / "model", texts=WORDS), "model")


def woven(config: DenoiseConfig = CONFIG, swapped: str | None = None) -> dict[str, Promise]:
    """Weave the stages as flows do, for two languages; named by stage and language."""
    languages = ("sw", "te")
    data = {
        name: {language: maker(language, language=language) for language in languages}
        for name, maker in (
            ("corpus", write_corpus),
            ("queries", write_queries),
            ("fused", write_fused),
        )
    }
    data["qrels"] = {language: write_qrels(language, language=language, swapped=swapped) for language in languages}
    encoder = write_encoder()
    fitted = steps.fit_cross_encoder(encoder=encoder, text="title_and_text", config=config.fit, **data)
    raw = {
        language: steps.score_candidates(
            language,
            encoder=encoder,
            cross_encoder=fitted,
            fit_config=config.fit,
            text="title_and_text",
            config=config.rerank,
            **{name: given[language] for name, given in data.items()},
        )
        for language in languages
    }
    curves = steps.calibrate_scores(raw_scores=raw, fused=data["fused"], qrels=data["qrels"], config=config.calibrate)
    promises: dict[str, Promise] = {"fit": fitted, "calibration": curves}
    for language in languages:
        scores = steps.apply_calibration(
            language, language=language, raw_scores=raw[language], calibration=curves, config=config.grade
        )
        ledger = steps.select_hard_negatives(
            language,
            fused=data["fused"][language],
            scores=scores,
            qrels=data["qrels"][language],
            queries=data["queries"][language],
            config=config.select,
        )
        promises |= {f"raw.{language}": raw[language], f"scores.{language}": scores, f"ledger.{language}": ledger}
    return promises


def make(promise: Promise, root: str) -> pl.DataFrame:
    """Build a Promise and what it needs, where it is missing."""
    for needed in promise.inputs.values():
        make(needed, root)
    if not state(promise, root).cached:
        build(promise, root, SURROUNDINGS)
    return storage.read(promise.ref(root))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are many times slower on two threads when another process wants one of the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with everything built."""
    root = str(tmp_path_factory.mktemp("store"))
    for promise in woven().values():
        make(promise, root)
    return root


def read(name: str, root: str) -> pl.DataFrame:
    return storage.read(woven()[name].ref(root))


def weights(fold: int, promise: Promise, root: str, name: str = WEIGHTS_FILE) -> bytes:
    return (storage.folder(promise.ref(root)) / f"fold-{fold}" / name).read_bytes()


def test_judgements_of_a_query_reach_every_model_but_its_own(tmp_path: Path):
    # without easy negatives: those are other queries' positives
    config = TUNED.model_copy(update={"fit": TUNED.fit.model_copy(update={"num_easy": 0})})
    root, given, swapped = str(tmp_path), woven(config)["fit"], woven(config, swapped="sw-q0")["fit"]
    for promise in (given, swapped):
        make(promise, root)
    for name in (WEIGHTS_FILE, LAYERS_FILE):
        unchanged = [weights(n, given, root, name) == weights(n, swapped, root, name) for n in range(3)]
        assert unchanged == [n == fold_of("sw-q0", num_folds=3, seed=0) for n in range(3)], name


def test_layers_are_tuned_where_there_are_queries_enough(store: str, tmp_path: Path):
    assert read("fit", store)["num_tuned"].to_list() == [0, 0, 0]  # fewer than 170
    steps = woven(TUNED)
    for promise in (steps["raw.sw"], steps["fit"]):
        make(promise, str(tmp_path))
    facts = storage.read(steps["fit"].ref(str(tmp_path)))
    assert facts["num_tuned"].to_list() == facts["num_queries"].to_list()
    tuned, plain = (
        storage.read(woven(one)["raw.sw"].ref(root)) for one, root in ((TUNED, str(tmp_path)), (CONFIG, store))
    )
    assert tuned.select(IDS).equals(plain.select(IDS))
    assert not tuned["raw"].equals(plain["raw"])


def test_killed_tuning_goes_on_with_the_next_fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    promise, calls, original = woven(TUNED)["fit"], [0], tune.tune_layers

    def fails_once(*arguments: Any, **settings: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt("stop")
        return original(*arguments, **settings)

    monkeypatch.setattr(tune, "tune_layers", fails_once)
    with pytest.raises(KeyboardInterrupt, match="stop"):
        make(promise, str(tmp_path / "killed"))
    make(promise, str(tmp_path / "killed"))
    assert calls[0] == 4  # a fold before, one that failed, that one and the last
    make(promise, str(tmp_path / "whole"))
    contents = [storage.load(promise.ref(str(tmp_path / name))).content for name in ("killed", "whole")]
    assert contents[0] == contents[1]


def test_each_query_is_scored_by_the_model_of_its_fold(store: str):
    for language in ("sw", "te"):
        for query_id, judge in read(f"raw.{language}", store).select("query_id", "judge").unique().rows():
            assert judge.removesuffix(ALONE) == f"fold-{fold_of(query_id, num_folds=3, seed=0)}"


def test_each_model_sees_every_train_query_of_the_other_folds(store: str):
    every = [f"{language}-q{n}" for language in ("sw", "te") for n in range(NUM_QUERIES - 1)]
    outside = [sum(fold_of(query_id, num_folds=3, seed=0) != fold for query_id in every) for fold in range(3)]
    assert read("fit", store)["num_queries"].to_list() == outside


def test_scores_cover_candidates_and_judged_of_train_queries(store: str):
    raw = read("raw.sw", store)
    assert len(raw) == (NUM_QUERIES - 1) * NUM_DOCUMENTS  # 8 candidates and the positive, which is none
    assert raw.select(*IDS).is_unique().all()
    assert "sw-q11" not in raw["query_id"]  # of the dev split


def test_ledger_has_every_candidate_of_the_train_queries(store: str):
    ledger = read("ledger.te", store)
    assert len(ledger) == (NUM_QUERIES - 1) * (NUM_DOCUMENTS - 1)
    assert set(ledger["decision"]) <= {"kept", "dropped"}
    assert ledger.filter(pl.col("relevance") == 0)["reason"].unique().to_list() == ["judged_not_relevant"]


def test_fitting_twice_gives_the_same_content(store: str, tmp_path: Path):
    promise = woven()["fit"]
    make(promise, str(tmp_path))
    assert storage.load(promise.ref(str(tmp_path))).content == storage.load(promise.ref(store)).content


def test_killed_fit_goes_on_with_the_next_language(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    promise, calls, original = woven()["fit"], [0], gather.gather_evidence

    def fails_once(*arguments: Any, **settings: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt("stop")
        return original(*arguments, **settings)

    monkeypatch.setattr(gather, "gather_evidence", fails_once)
    with pytest.raises(KeyboardInterrupt, match="stop"):
        make(promise, str(tmp_path))
    make(promise, str(tmp_path))
    assert calls[0] == 3  # a language before, one that failed, that one again
    assert storage.load(promise.ref(str(tmp_path))).content == storage.load(promise.ref(store)).content


def test_relabelling_adds_what_the_ledger_relabelled(store: str):
    config = DenoiseConfig(**CONFIG.model_dump() | {"relabel": True, "grade": {"partly": 0.0, "highly": 0.0}})
    steps = woven(config)
    ledger = make(steps["ledger.sw"], store)
    qrels = write_qrels("sw", language="sw")
    judged = make(steps.relabel_candidates("sw", qrels=qrels, hard_negatives=steps["ledger.sw"]), store)
    assert set(ledger.filter(pl.col("relevance").is_null())["reason"]) == {"relabelled"}
    assert len(judged) == len(make(qrels, store)) + ledger["relevance"].null_count()


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

    def promise(name: str, digest: str) -> Promise:
        ready = ReadyConfig(cross_encoder=name)
        settings: dict[str, Any] = {"text": "text", "config": CONFIG.rerank, "ready": ready, "digest": digest}
        return steps.score_candidates("sw", **inputs, **settings)

    assert promise("a", "1").fingerprint == promise("b", "1").fingerprint
    assert promise("a", "1").fingerprint != promise("a", "2").fingerprint


def test_scoring_without_any_judge_is_an_error(tmp_path: Path):
    inputs = {"fused": write_fused("sw", language="sw"), "queries": write_queries("sw", language="sw")}
    inputs |= {"qrels": write_qrels("sw", language="sw"), "corpus": write_corpus("sw", language="sw")}
    with pytest.raises(ValueError, match="expected either a ready cross-encoder or encoder"):
        make(steps.score_candidates("sw", **inputs, text="text", config=CONFIG.rerank), str(tmp_path))
