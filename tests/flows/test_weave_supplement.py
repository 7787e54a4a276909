"""The supplement as it is woven: switched off, nothing of it is there; on, the last ledger is trained on."""

import json
from pathlib import Path

import pytest
from support.tiny_model import write_tiny_encoder

from flows.configs import PipelineConfig
from flows.weave import weave


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weave")
    write_tiny_encoder(folder / "model", max_tokens=256)
    (folder / "instructions.jsonl").write_text(json.dumps({"instruction": "a", "output": "b"}), encoding="utf-8")
    return folder


def woven(folder: Path, *, denoise=None, **supplement):
    settings = {"languages": ["en", "sw"], "ingest": {"layout": "atlas"}, "encoder": {"model": str(folder / "model")}}
    return weave(PipelineConfig(**settings, denoise=denoise or {}, supplement=supplement))


def steps(pipeline, stage=None, name=None):
    return [
        staged.promise
        for staged in pipeline.staged
        if stage in (None, staged.stage) and name in (None, staged.promise.step.name)
    ]


ON = {"enabled": True, "chat": {"model": "scripted"}}


def test_switched_off_there_is_no_step_of_it(folder: Path):
    pipeline = woven(folder, chat={"model": "scripted"})
    assert steps(pipeline, "supplement") == []
    (plan,) = steps(pipeline, name="plan_batches")
    assert {promise.step.name for promise in plan.arguments["hard_negatives"].values()} == {"select_hard_negatives"}


def test_switched_on_nothing_before_it_changes(folder: Path):
    off, on = woven(folder), woven(folder, **ON)
    for stage in ("ingest", "retrieve", "denoise"):
        assert [promise.fingerprint for promise in steps(off, stage)] == [
            promise.fingerprint for promise in steps(on, stage)
        ]


def test_switched_on_batches_are_planned_with_the_extended_ledger(folder: Path):
    pipeline = woven(folder, **ON)
    (plan,) = steps(pipeline, name="plan_batches")
    assert {promise.step.name for promise in plan.arguments["hard_negatives"].values()} == {"extend_hard_negatives"}
    assert len(steps(pipeline, "supplement", "count_shortfalls")) == 2
    assert steps(pipeline, name="tune_generator") == []


@pytest.mark.parametrize("judge", ["fitted", "llm", "cascade"])
def test_new_candidates_are_judged_as_the_given_ones_with_one_calibration(folder: Path, judge):
    denoise = {"judge": judge, "llm": {"chat": {"model": "scripted"}}}
    pipeline = woven(folder, denoise=denoise, **ON)
    assert len(steps(pipeline, name="calibrate_scores")) == 1
    assert len(steps(pipeline, name="judge_pairs")) == (0 if judge == "fitted" else 4)
    assert len(steps(pipeline, name="score_features")) == (0 if judge == "llm" else 4)
    assert len(steps(pipeline, name="fit_judge")) == (0 if judge == "llm" else 1)
    extended = steps(pipeline, name="extend_hard_negatives")
    kind = "apply_calibration" if judge == "fitted" else "apply_verdicts"
    assert {scores.step.name for promise in extended for scores in promise.arguments["scores"]} == {kind}


def test_tuned_generator_is_one_step_for_all_languages(folder: Path):
    chat = {"client": "local", "model": str(folder / "model")}
    tune = {"instructions": str(folder / "instructions.jsonl")}
    pipeline = woven(folder, enabled=True, chat=chat, tune=tune)
    (tuned,) = steps(pipeline, "supplement", "tune_generator")
    assert {
        promise.arguments["adapter"].fingerprint for promise in steps(pipeline, name="generate_from_positives")
    } == {tuned.fingerprint}


def test_missing_file_of_instructions_is_an_error(folder: Path):
    chat = {"client": "local", "model": str(folder / "model")}
    with pytest.raises(
        FileNotFoundError, match="supplement.tune.instructions: expected a JSONL file, got 'none.jsonl'"
    ):
        woven(folder, enabled=True, chat=chat, tune={"instructions": "none.jsonl"})


@pytest.mark.parametrize(
    ("supplement", "message"),
    [
        ({"enabled": True}, "expected supplement.chat.model to name the generator, got ''"),
        (
            {"chat": {"model": "x"}, "tune": {"instructions": "a.jsonl"}},
            "expected supplement.chat.client 'local' for the tuning, got 'endpoint'",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_an_error(folder: Path, supplement, message):
    with pytest.raises(ValueError, match=message):
        woven(folder, **supplement)
