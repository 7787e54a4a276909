"""Probabilities: right on average, rising, and honest about what they were fitted on."""

import math

import numpy as np
import polars as pl
import pytest

from tasks.denoise.calibrate import Curve, apply_curve, comparable_pairs, fit_curve, fit_curves, probability
from tasks.denoise.reliability import reliability_table


def normal_pairs(number: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Half relevant around +1, half not around -1, both of spread 1: the true log odds are 2 * raw."""
    rng = np.random.default_rng(seed)
    relevant = np.arange(number) % 2 == 0
    return rng.normal(np.where(relevant, 1.0, -1.0), 1.0), relevant


def judged(language: str, positive: list[float], negative: list[float]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "language": [language] * (len(positive) + len(negative)),
            "raw": positive + negative,
            "relevance": [1] * len(positive) + [0] * len(negative),
        },
        schema={"language": pl.String, "raw": pl.Float32, "relevance": pl.Int32},
    )


NO_PRESUMED = pl.DataFrame(schema={"language": pl.String, "raw": pl.Float32})


def test_curve_is_the_true_one_on_synthetic_pairs():
    slope, intercept = fit_curve(*normal_pairs(20_000), prior=0.5)
    assert slope == pytest.approx(2.0, abs=0.08)
    assert intercept == pytest.approx(0.0, abs=0.08)


@pytest.mark.parametrize("prior", [0.1, 0.2, 0.7])
def test_prior_shifts_the_log_odds_by_its_own(prior: float):
    slope, intercept = fit_curve(*normal_pairs(20_000), prior=prior)
    assert slope == pytest.approx(2.0, abs=0.12)
    assert intercept == pytest.approx(math.log(prior / (1.0 - prior)), abs=0.12)


def test_share_of_judged_positives_does_not_matter():
    raw, relevant = normal_pairs(20_000)
    few = np.flatnonzero(relevant)[::20]
    rows = np.sort(np.concatenate([few, np.flatnonzero(~relevant)]))
    slope, intercept = fit_curve(raw[rows], relevant[rows], prior=0.5)
    assert slope == pytest.approx(2.0, abs=0.2)
    assert intercept == pytest.approx(0.0, abs=0.2)


def test_probabilities_rise_with_the_score():
    slope, intercept = fit_curve(*normal_pairs(200), prior=0.2)
    assert (np.diff(probability(np.linspace(-9, 9, 50), slope=slope, intercept=intercept)) > 0).all()


def test_worthless_scores_give_the_prior():
    raw, relevant = normal_pairs(400)
    slope, intercept = fit_curve(-raw, relevant, prior=0.2)  # upside down
    assert slope == 0.0
    assert probability(np.array([5.0]), slope=slope, intercept=intercept)[0] == pytest.approx(0.2, abs=0.01)


def test_classes_that_part_completely_give_finite_curve():
    slope, intercept = fit_curve(np.array([1.0, 2.0, -1.0, -2.0]), np.array([True, True, False, False]), prior=0.5)
    assert 0.0 < slope < 100.0
    assert math.isfinite(intercept)


def test_targets_are_smoothed_as_platt_does():
    """At the mean score of two classes that part completely, the curve meets the smoothed targets, not 0 and 1."""
    raw, relevant = np.array([1.0] * 3 + [-1.0] * 8), np.array([True] * 3 + [False] * 8)
    slope, intercept = fit_curve(raw, relevant, prior=0.5)
    high, low = probability(np.array([1.0, -1.0]), slope=slope, intercept=intercept)
    assert high == pytest.approx(4 / 5, abs=1e-3)  # (n + 1) / (n + 2) of 3 relevant pairs
    assert low == pytest.approx(1 / 10, abs=1e-3)  # 1 / (n + 2) of 8 others


def test_a_relevance_below_zero_is_not_relevant():
    pairs = judged("sw", [3.0] * 30, [-3.0] * 30)
    below = pairs.with_columns(relevance=pl.when(pl.col("relevance") == 0).then(-2).otherwise("relevance"))
    limits = {"prior": 0.2, "min_positive": 20, "min_negative": 20}
    curves = fit_curves(pairs, NO_PRESUMED, **limits)  # type: ignore[arg-type]
    assert fit_curves(below, NO_PRESUMED, **limits) == curves  # type: ignore[arg-type]
    table = reliability_table(below, curves, prior=0.2, num_bins=2)
    assert table.equals(reliability_table(pairs, curves, prior=0.2, num_bins=2))
    alone = pl.Series([True] + [False] * 59)
    assert len(comparable_pairs(below.with_columns(without_reference=alone), min_positive=30)) == 60
    assert len(comparable_pairs(below.with_columns(without_reference=alone), min_positive=29)) == 59


def test_equal_scores_give_the_prior():
    slope, intercept = fit_curve(np.zeros(400), np.arange(400) < 200, prior=0.3)
    assert probability(np.zeros(1), slope=slope, intercept=intercept)[0] == pytest.approx(0.3, abs=0.01)


def test_extreme_scores_do_not_overflow():
    assert probability(np.array([-1e6, 1e6]), slope=1.0, intercept=0.0).tolist() == [0.0, 1.0]


def test_language_with_few_judgements_takes_those_of_all():
    pairs = pl.concat([judged("sw", [3.0] * 30, [-3.0] * 30), judged("te", [3.0, 3.0], [])])
    curves = fit_curves(pairs, NO_PRESUMED, prior=0.2, min_positive=20, min_negative=20)
    assert curves["sw"].fitted_on == "judged"
    assert (curves["te"].fitted_on, curves["te"].num_positive, curves["te"].num_negative) == ("pooled", 32, 30)


def test_presumed_negatives_stand_in_where_all_lack_judged_ones():
    presumed = pl.DataFrame({"language": ["te"] * 50, "raw": [-3.0] * 50}, schema=NO_PRESUMED.schema)
    curves = fit_curves(judged("te", [3.0] * 30, [-2.0]), presumed, prior=0.2, min_positive=20, min_negative=20)
    assert (curves["te"].fitted_on, curves["te"].num_negative) == ("presumed", 51)


def test_order_of_languages_does_not_matter():
    a, b = judged("sw", [3.0] * 30, [-3.0] * 30), judged("te", [2.0] * 3, [1.0])
    limits = {"prior": 0.2, "min_positive": 20, "min_negative": 20}
    one = fit_curves(pl.concat([a, b]).sort("language", "raw"), NO_PRESUMED, **limits)  # type: ignore[arg-type]
    two = fit_curves(pl.concat([b, a]).sort("language", "raw"), NO_PRESUMED, **limits)  # type: ignore[arg-type]
    assert one == two
    assert list(one) == ["sw", "te"]


def test_reliability_table_agrees_with_the_judgements():
    raw, relevant = normal_pairs(20_000)
    pairs = judged("sw", raw[relevant].tolist(), raw[~relevant].tolist())
    curves = fit_curves(pairs, NO_PRESUMED, prior=0.2, min_positive=20, min_negative=20)
    table = reliability_table(pairs, curves, prior=0.2, num_bins=5)
    assert len(table) == 5
    assert table["num_positive"].sum() + table["num_negative"].sum() == 20_000
    gap = (table["observed"] - table["probability"]).abs().max()
    assert isinstance(gap, float)
    assert gap < 0.05


def test_reliability_observes_nothing_where_a_class_is_missing():
    pairs = pl.concat([judged("sw", [3.0] * 30, [-3.0] * 30), judged("te", [3.0], [])])
    curves = fit_curves(pairs, NO_PRESUMED, prior=0.2, min_positive=20, min_negative=20)
    table = reliability_table(pairs, curves, prior=0.2, num_bins=5)
    assert table.filter(pl.col("language") == "te").select("observed", "error", "uncalibrated_error").rows() == [
        (None, None, None)
    ]


def test_calibration_error_is_the_distance_of_promise_and_observation():
    pairs = judged("sw", [2.0, 2.0, -2.0], [2.0, -2.0, -2.0])
    curve = Curve(0.0, 0.0, "judged", 3, 3)  # promises .5 to everything
    table = reliability_table(pairs, {"sw": curve}, prior=0.5, num_bins=2)
    assert table["observed"].to_list() == pytest.approx([1 / 3, 2 / 3])
    assert table["probability"].to_list() == pytest.approx([0.5, 0.5])
    assert table["error"].to_list() == pytest.approx([1 / 6] * 2)
    high = 1 / (1 + np.exp(-2.0))
    assert table["uncalibrated_error"].to_list() == pytest.approx([high - 2 / 3] * 2)


def test_calibrating_lowers_the_error():
    raw, relevant = normal_pairs(20_000)
    pairs = judged("sw", raw[relevant].tolist(), raw[~relevant].tolist())
    curves = fit_curves(pairs, NO_PRESUMED, prior=0.2, min_positive=20, min_negative=20)
    first = reliability_table(pairs, curves, prior=0.2, num_bins=5).row(0, named=True)
    assert first["error"] < 0.02 < first["uncalibrated_error"]


def test_calibrates_on_pairs_that_had_a_reference_where_there_are_enough():
    table = pl.DataFrame({"relevance": [1, 1, 1, 0], "without_reference": [True, False, False, False]})
    assert len(comparable_pairs(table, min_positive=2)) == 3
    assert len(comparable_pairs(table, min_positive=3)) == 4


def test_grades_begin_at_their_cuts():
    scores = pl.DataFrame({"query_id": ["q"] * 3, "doc_id": list("abc"), "judge": ["j"] * 3, "raw": [-1.0, 0.0, 2.0]})
    curve = Curve(1.0, 0.0, "judged", 1, 1)  # probabilities .27, .50, .88
    assert apply_curve(scores, curve, grade_cuts=(0.5, 0.8))["grade"].to_list() == [0, 1, 2]


def test_rejects_pairs_of_one_kind():
    with pytest.raises(ValueError, match="expected relevant and non-relevant pairs, got 2 and 0"):
        fit_curve(np.zeros(2), np.ones(2, dtype=bool), prior=0.2)


def test_rejects_prior_outside_its_range():
    with pytest.raises(ValueError, match="prior: expected a share between 0 and 1, got 1.0"):
        fit_curve(np.zeros(2), np.array([True, False]), prior=1.0)
