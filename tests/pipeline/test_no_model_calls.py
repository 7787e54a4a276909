"""Scores are kept apart from decisions: a changed threshold or strategy runs no network before training (counted)."""

from typing import get_args

import pytest
from support.in_process import counted_calls

from flows.weave import weave
from tasks.denoise.config import DenoiseConfig, SelectConfig, Strategy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

CHANGES = {
    **{name: (f"strategy={name}",) for name in get_args(Strategy) if name != DenoiseConfig().strategy},
    "raw score": ("strategy=percent", "score=raw"),
    "fused score": ("strategy=percent", "score=fused"),
    "shift": ("strategy=shifted", "shift=3"),
    "max_score": ("strategy=threshold", "max_score=0.1"),
    "margin width": ("strategy=margin", "margin=0.01"),
    "percentage": ("strategy=percent", "percent=50"),
    "max_grade_kept": ("max_grade_kept=2",),
    "max_probability": ("max_probability=0.9",),
    "num_negatives": ("num_negatives=3",),
    "relabel": ("relabel=true",),
    "grade_cuts": ("grade_cuts=[0.25,0.7]",),
    "prior": ("prior=0.4",),
    "presumed_ranks": ("presumed_ranks=[4,30]",),
}


def test_the_first_build_runs_networks(woven):
    assert woven.num_calls > 100  # so the count counts


@pytest.mark.parametrize("change", CHANGES)
def test_changed_decision_runs_no_network_before_training(woven, change):
    settings = woven.settings(*(f"denoise.{override}" for override in CHANGES[change]))
    with counted_calls() as calls:
        built = woven.build(weave(settings).until("plan_batches"))
    assert calls == []
    assert built, "expected the change to reach something"
    assert {promise.step.resource for promise in built} == {"cpu"}
    decisions = {"calibration", "scores", "hard_negatives", "batch_plan"}
    if change == "presumed_ranks":  # other pairs to fit the judge on: arithmetic too
        decisions |= {"judge_model", "raw_scores"}
    if change == "relabel":  # more positives: also to find topics by
        decisions |= {"qrels", "topics"}
    assert {promise.step.produces for promise in built} <= decisions


def test_every_setting_of_the_decision_is_changed_above():
    changed = {override.partition("=")[0] for overrides in CHANGES.values() for override in overrides}
    assert changed == {*SelectConfig.model_fields, "grade_cuts", "prior", "presumed_ranks"}
