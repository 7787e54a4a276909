"""Which stages each judge needs, and which setting asks an LLM again."""

import pytest
from support.loom import NumberConfig, make_numbers
from support.tiny_llm import write_tiny_llm

from flows.configs import PipelineConfig
from flows.judge import judge
from flows.run.pipeline import Pipeline

LANGUAGES = ("fi", "sw")


def woven(**denoise):
    """The Promises that the scores need, by name."""
    config = PipelineConfig(languages=LANGUAGES, denoise=denoise)
    inputs = [
        {language: make_numbers(language, config=NumberConfig(values=(number,))) for language in LANGUAGES}
        for number in range(4)
    ]
    scores = judge(config, *inputs)
    return {
        str(staged.promise): staged.promise for staged in Pipeline.weave({"denoise": list(scores.values())}, []).staged
    }


def llm(**settings):
    chat = {"model": "scripted"} | settings.pop("chat", {})
    return {"chat": chat, **settings}


def changed(before, after):
    return {name for name, step in after.items() if name not in before or before[name].fingerprint != step.fingerprint}


def test_cross_encoder_is_the_default_and_no_llm_setting_reaches_it():
    plain = woven()
    assert not {"judge_pairs-sw", "apply_verdicts-sw"} & set(plain)
    assert changed(plain, woven(llm=llm(num_samples=9), band=(0.1, 0.2))) == set()


def test_cascade_adds_verdicts_to_the_cross_encoder_s_scores():
    plain, cascade = woven(), woven(judge="cascade", llm=llm())
    added = {f"{name}-{language}" for name in ("judge_pairs", "apply_verdicts") for language in LANGUAGES}
    assert changed(plain, cascade) == set(cascade) - set(plain) == added
    assert "scores" in cascade["judge_pairs-sw"].inputs


def test_llm_alone_needs_no_cross_encoder():
    steps = woven(judge="llm", llm=llm())
    names = {name.rpartition("-")[0] for name in steps}
    assert names == {
        "make_numbers",
        "judge_pairs",
        "score_verdicts",
        "calibrate_scores",
        "apply_calibration",
        "apply_verdicts",
    }


def test_band_changes_the_verdicts_and_nothing_before_them():
    before = woven(judge="cascade", llm=llm())
    after = woven(judge="cascade", llm=llm(), band=(0.1, 0.2))
    assert {name.rpartition("-")[0] for name in changed(before, after)} == {"judge_pairs", "apply_verdicts"}


@pytest.mark.parametrize("name", ["cascade", "llm"])
@pytest.mark.parametrize(
    "setting",
    [
        {"strategy": "margin", "score": "raw"},
        {"max_grade_kept": 1},
        {"max_probability": 0.5},
        {"shift": 3, "max_score": 0.5, "margin": 0.1, "percent": 80.0},
        {"num_negatives": 5},
        {"llm": llm(vote="highest")},
        {"llm": llm(chat={"max_calls": 3, "max_tokens": 5, "base_url": "http://there/v1"})},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_decisions_leave_the_verdicts_alone(name, setting):
    before, after = (woven(judge=name, **{"llm": llm()} | other) for other in ({}, setting))
    assert not [step for step in changed(before, after) if step.startswith("judge_pairs")]


@pytest.mark.parametrize(
    "setting",
    [{"num_samples": 4}, {"seed": 1}, {"max_document_characters": 9}, {"chat": {"temperature": 0.1, "model": "a"}}],
    ids=lambda setting: next(iter(setting)),
)
def test_other_questions_are_other_verdicts(setting):
    assert "judge_pairs-sw" in changed(woven(judge="llm", llm=llm()), woven(judge="llm", llm=llm(**setting)))


def test_local_llm_is_known_by_its_bytes_not_by_its_folder(tmp_path):
    one, copy = (write_tiny_llm(tmp_path / name) for name in ("one", "copy"))
    other = write_tiny_llm(tmp_path / "other", seed=1)
    steps = [woven(judge="llm", llm=llm(chat={"client": "local", "model": str(place)})) for place in (one, copy, other)]
    assert changed(steps[0], steps[1]) == set()
    assert "judge_pairs-fi" in changed(steps[0], steps[2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"judge": "llm"}, "expected llm.chat.model for judge llm, got none"),
        ({"judge": "cascade"}, "expected llm.chat.model for judge cascade, got none"),
        ({"band": (0.5, 0.2)}, r"expected a band of two probabilities, the lower first, got 0.5, 0.2"),
        ({"band": (0.5, 1.2)}, "expected a band of two probabilities"),
        ({"llm": llm(chat={"temperature": 0})}, "expected num_samples of 1 at temperature 0, got 3"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PipelineConfig(languages=LANGUAGES, denoise=settings)
