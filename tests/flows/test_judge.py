"""Which steps each judge needs, and which setting asks an LLM again."""

from typing import get_args

import pytest
from support.loom import NumberConfig, make_numbers
from support.tiny_llm import write_tiny_llm

from flows.configs import PipelineConfig
from flows.judge import JUDGES, judge
from flows.run.pipeline import Pipeline
from tasks.denoise.config import Judge

LANGUAGES = ("fi", "sw")


def woven(*, later=False, **denoise):
    """The Promises that the scores need, by name."""
    config = PipelineConfig(languages=LANGUAGES, denoise=denoise)
    inputs = [
        {language: make_numbers(language, config=NumberConfig(values=(number,))) for language in LANGUAGES}
        for number in range(5 if later else 4)
    ]
    scores = judge(config, *inputs)
    return {
        str(staged.promise): staged.promise for staged in Pipeline.weave({"denoise": list(scores.values())}, []).staged
    }


def ready(folder):
    """A folder that looks like a model: nothing of it is read but its bytes."""
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes(b"{}")
    return str(folder)


def llm(**settings):
    chat = {"model": "scripted"} | settings.pop("chat", {})
    return {"chat": chat, **settings}


def changed(before, after):
    return {name for name, step in after.items() if name not in before or before[name].fingerprint != step.fingerprint}


def test_fitted_is_the_default_and_no_llm_setting_reaches_it():
    plain = woven()
    assert not {"judge_pairs-sw", "apply_verdicts-sw"} & set(plain)
    assert changed(plain, woven(llm=llm(num_samples=9), band=(0.1, 0.2))) == set()


def test_cascade_adds_verdicts_to_the_first_judge_s_scores():
    plain, cascade = woven(), woven(judge="cascade", llm=llm())
    added = {f"{name}-{language}" for name in ("judge_pairs", "apply_verdicts") for language in LANGUAGES}
    assert changed(plain, cascade) == set(cascade) - set(plain) == added
    assert "scores" in cascade["judge_pairs-sw"].inputs


def test_cross_encoder_fits_nothing_and_is_the_first_judge_of_a_cascade_where_it_is_named(tmp_path):
    folder = ready(tmp_path)
    for settings in ({"judge": "cross_encoder"}, {"judge": "cascade", "llm": llm()}):
        steps = woven(cross_encoder=folder, **settings)
        names = {name.rpartition("-")[0] for name in steps}
        assert "score_pairs" in names
        assert not names & {"find_features", "fold_queries", "fit_judge", "score_features"}


def test_every_judge_has_a_place_in_the_table():
    assert set(JUDGES) == set(get_args(Judge))


@pytest.mark.parametrize("name", sorted(JUDGES))
def test_later_candidates_go_through_the_same_steps_and_fit_nothing_anew(name, tmp_path):
    settings = {"judge": name} | ({"cross_encoder": ready(tmp_path)} if name == "cross_encoder" else {"llm": llm()})
    first, both = woven(**settings), woven(later=True, **settings)
    kinds = [{promise.step.name for promise in steps.values()} for steps in (first, both)]
    assert kinds[0] == kinds[1]
    fitted = {"fold_queries-all", "fit_judge-all", "calibrate_scores-all", "prepare_encoder-all"}
    assert not fitted & changed(first, both)
    assert {"apply_calibration-sw"} <= changed(first, both)


def test_llm_alone_needs_no_other_judge():
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
    [{"num_samples": 4}, {"max_document_characters": 9}, {"chat": {"temperature": 0.1, "model": "a"}}],
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
        ({"band": (0.5, 0.2)}, r"expected band of two probabilities, the lower first, got 0.5, 0.2"),
        ({"band": (0.5, 1.2)}, "expected band of two probabilities"),
        ({"judge": "cross_encoder"}, "expected cross_encoder for judge cross_encoder, got none"),
        ({"cross_encoder": "x"}, "expected judge cross_encoder or cascade beside cross_encoder, got fitted"),
        ({"grade_cuts": (0.5, 0.2)}, "expected grade_cuts of two probabilities, the lower first, got 0.5, 0.2"),
        ({"presumed_ranks": (0, 2)}, "expected presumed_ranks from 1, the lower first, got 0, 2"),
        ({"llm": llm(chat={"temperature": 0})}, "expected num_samples of 1 at temperature 0, got 3"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PipelineConfig(languages=LANGUAGES, denoise=settings)
