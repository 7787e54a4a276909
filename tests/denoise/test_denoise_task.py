"""The steps on a store: cross-fitting, resuming, and which setting rebuilds what."""

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
from tasks.denoise import features, pairs_task
from tasks.denoise.config import CrossEncoderConfig, DenoiseConfig
from tasks.engine.build import build, state
from tasks.engine.job import Job
from tasks.engine.step import Promise

pytestmark = pytest.mark.slow  # whole steps and training runs: not of the quick round

NUM_QUERIES, NUM_DOCUMENTS = 12, 9
WORDS = ["apple", "river", "stone", "cloud", "horse", "piano", "bread", "glass", "wheel", "torch", "lemon", "chair"]
CONFIG = DenoiseConfig(presumed_ranks=(3, 9))
TEXT = {"text": "title_and_text", "max_query_tokens": 16, "max_document_tokens": 32}
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
def write_qrels(job: Job, *, language: str, swapped: str | None = None, lowest: int = 0) -> None:
    """Judge two documents of each query; of one query the wrong way round."""
    rows = [
        (f"{language}-q{n}", f"d{(n + shift) % NUM_DOCUMENTS}", relevance ^ (f"{language}-q{n}" == swapped))
        for n in range(NUM_QUERIES)
        for shift, relevance in ((0, 1), (1, 0))
    ]
    schema = {"query_id": pl.String, "doc_id": pl.String, "relevance": pl.Int32}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    lowered = pl.when(pl.col("relevance") == 0).then(lowest).otherwise("relevance").cast(pl.Int32)
    job.out.write(table.with_columns(relevance=lowered))


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
    facts: dict[str, Any] = {"num_layers": 2, "hidden_size": 32, "num_parameters": 1}
    job.out.write(pl.DataFrame([{**facts, "vocabulary_size": 1, "digest": "d"}]))
    job.out.add_folder(write_tiny_encoder(job.scratch / "model", texts=WORDS), "model")


def woven(config: DenoiseConfig = CONFIG, **judged: Any) -> dict[str, Promise]:
    """Weave the steps as flows do, for two languages; named by step and language."""
    languages = ("sw", "te")
    data = {
        name: {language: maker(language, language=language) for language in languages}
        for name, maker in (
            ("corpus", write_corpus),
            ("queries", write_queries),
            ("fused", write_fused),
        )
    }
    data["qrels"] = {language: write_qrels(language, language=language, **judged) for language in languages}
    fused, qrels, queries = data["fused"], data["qrels"], data["queries"]
    features = {
        language: steps.find_features(
            language,
            candidates=fused[language],
            queries=queries[language],
            qrels=qrels[language],
            corpus=data["corpus"][language],
            encoder=write_encoder(),
            **TEXT,
        )
        for language in languages
    }
    ranks = {"presumed_ranks": config.presumed_ranks}
    as_judged = {language: write_qrels(language, language=language) for language in languages}
    folds = steps.fold_queries(queries=queries, qrels=as_judged)
    judge_model = steps.fit_judge(folds=folds, features=features, fused=fused, qrels=qrels, **ranks)
    raw = {
        language: steps.score_features(
            language, language=language, features=features[language], folds=folds, judge_model=judge_model
        )
        for language in languages
    }
    curves = steps.calibrate_scores(raw_scores=raw, fused=fused, qrels=qrels, prior=config.prior, **ranks)
    promises: dict[str, Promise] = {"folds": folds, "fit": judge_model, "calibration": curves}
    for language in languages:
        scores = steps.apply_calibration(
            language, language=language, raw_scores=raw[language], calibration=curves, grade_cuts=config.grade_cuts
        )
        ledger = steps.select_hard_negatives(
            language,
            fused=fused[language],
            scores=scores,
            qrels=qrels[language],
            queries=queries[language],
            corpus=data["corpus"][language],
            text="text",
            config=config.select,
        )
        promises |= {f"features.{language}": features[language], f"raw.{language}": raw[language]}
        promises |= {f"scores.{language}": scores, f"ledger.{language}": ledger}
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


def folds(root: str) -> dict[str, int]:
    return dict(read("folds", root).select("query_id", "fold").iter_rows())


def test_queries_that_share_an_answer_or_are_parallel_share_a_fold(store: str):
    fold_of = folds(store)
    for n in range(NUM_QUERIES):  # the relevant documents begin again after nine queries
        assert len({fold_of[f"{language}-q{m % NUM_QUERIES}"] for language in ("sw", "te") for m in (n, n % 9)}) == 1


def test_judgements_of_a_query_reach_every_model_but_its_own(tmp_path: Path):
    root, given, swapped = str(tmp_path), woven()["fit"], woven(swapped="sw-q0")["fit"]
    models = [make(promise, root) for promise in (given, swapped)]
    fold_of = folds(root)
    for fold in range(5):
        one, two = (model.filter(pl.col("fold") == fold) for model in models)
        assert one.equals(two) == (fold == fold_of["sw-q0"])


def test_a_relevance_below_zero_is_judged_not_relevant_from_features_to_ledger(store: str):
    below = woven(lowest=-1)
    for name in ("features.sw", "fit", "raw.sw", "calibration", "scores.sw"):
        assert make(below[name], store).equals(read(name, store)), name
    assert make(below["ledger.sw"], store).drop("relevance").equals(read("ledger.sw", store).drop("relevance"))


def test_each_query_is_scored_by_the_model_of_its_fold(store: str):
    fold_of = folds(store)
    for language in ("sw", "te"):
        for query_id, judge in read(f"raw.{language}", store).select("query_id", "judge").unique().rows():
            assert judge == f"fold-{fold_of[query_id]}"


def test_the_only_relevant_document_is_judged_without_a_reference(store: str):
    alone = read("raw.sw", store).filter(pl.col("without_reference"))
    relevant = storage.read(write_qrels("sw", language="sw").ref(store)).filter(pl.col("relevance") > 0)
    assert len(alone) == alone.join(relevant, on=IDS, how="semi").height == NUM_QUERIES - 1


def test_each_model_sees_every_train_query_of_the_other_folds(store: str):
    every = [f"{language}-q{n}" for language in ("sw", "te") for n in range(NUM_QUERIES - 1)]
    fold_of = folds(store)
    outside = [sum(fold_of[query_id] != fold for query_id in every) for fold in range(5)]
    assert read("fit", store).unique(["fold", "num_queries"]).sort("fold")["num_queries"].to_list() == outside


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


def test_killed_features_go_on_with_the_next_shard(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    promise, calls, original = woven()["features.sw"], [0], features.find_features

    def fails_once(*arguments: Any, **settings: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt("stop")
        return original(*arguments, **settings)

    monkeypatch.setattr(features, "find_features", fails_once)
    monkeypatch.setattr(pairs_task, "_SHARD_QUERIES", 5)  # three shards
    with pytest.raises(KeyboardInterrupt, match="stop"):
        make(promise, str(tmp_path))
    rows = make(promise, str(tmp_path))
    assert calls[0] == 4  # a shard before, one that failed, that one and the last
    assert rows.select(IDS).equals(read("features.sw", store).select(IDS))


def test_relabelling_adds_what_the_ledger_relabelled(store: str):
    config = DenoiseConfig(**CONFIG.model_dump() | {"relabel": True, "grade_cuts": (0.0, 0.0)})
    ledger = woven(config)["ledger.sw"]
    qrels = write_qrels("sw", language="sw")
    judged = make(steps.relabel_candidates("sw", qrels=qrels, hard_negatives=ledger), store)
    rows = make(ledger, store)
    assert set(rows.filter(pl.col("relevance").is_null())["reason"]) == {"relabelled"}
    assert len(judged) == len(make(qrels, store)) + rows["relevance"].null_count()


@pytest.mark.parametrize(
    ("changed", "rebuilt"),
    [
        (DenoiseConfig(**CONFIG.model_dump() | {"max_probability": 0.25}), {"ledger"}),
        (DenoiseConfig(**CONFIG.model_dump() | {"strategy": "margin", "num_negatives": 3}), {"ledger"}),
        (CONFIG.model_copy(update={"grade_cuts": (0.4, 0.6)}), {"scores", "ledger"}),
        (CONFIG.model_copy(update={"prior": 0.4}), {"calibration", "scores", "ledger"}),
        (CONFIG.model_copy(update={"presumed_ranks": (3, 8)}), {"fit", "raw", "calibration", "scores", "ledger"}),
    ],
)
def test_setting_rebuilds_only_what_reads_it(changed: DenoiseConfig, rebuilt: set[str]):
    before, after = woven(), woven(changed)
    differing = {name.partition(".")[0] for name in before if before[name].fingerprint != after[name].fingerprint}
    assert differing == rebuilt


def test_ready_cross_encoder_is_known_by_digest_not_by_name():
    inputs = {"candidates": write_fused("sw", language="sw"), "queries": write_queries("sw", language="sw")}
    inputs |= {"qrels": write_qrels("sw", language="sw"), "corpus": write_corpus("sw", language="sw")}

    def promise(name: str, digest: str) -> Promise:
        return steps.score_pairs("sw", **inputs, **TEXT, cross_encoder=CrossEncoderConfig(model=name), digest=digest)

    assert promise("a", "1").fingerprint == promise("b", "1").fingerprint
    assert promise("a", "1").fingerprint != promise("a", "2").fingerprint
