import math

import numpy as np
import polars as pl
import pytest
from scipy.stats import bootstrap, norm, permutation_test, ttest_ind, ttest_rel
from scipy.stats import t as student

from tasks.evaluate.significance import bootstrap_interval, compare_variants, holm, stratified_test


def measured(*values: float, metric: str = "nDCG@10") -> pl.DataFrame:
    """Queries of two languages in turn, their means, and the mean of these."""
    languages = ["en" if number % 2 == 0 else "sw" for number in range(len(values))]
    rows = [
        (language, metric, f"q{n}", value) for n, (language, value) in enumerate(zip(languages, values, strict=True))
    ]
    means = {
        name: sum(row[3] for row in rows if row[0] == name) / languages.count(name) for name in sorted(set(languages))
    }
    rows += [(name, metric, "all", value) for name, value in means.items()]
    rows.append(("all", metric, "all", sum(means.values()) / len(means)))
    return pl.DataFrame(rows, schema=["language", "metric", "query_id", "value"], orient="row")


def line(rows: list[dict[str, object]], variant: str) -> dict[str, object]:
    return next(row for row in rows if row["variant"] == variant)


def test_means_and_deviation_are_those_of_the_seeds():
    rows = compare_variants({("full", 1): measured(0.2, 0.4), ("full", 2): measured(0.4, 0.6)}, reference="full")
    found = line(rows, "full")
    assert found["mean"] == pytest.approx(0.4)
    assert found["deviation"] == pytest.approx(math.sqrt(0.02))
    assert (found["num_seeds"], found["difference"], found["p"], found["num_queries"]) == (2, None, None, None)


def test_difference_is_over_the_seeds_that_both_have():
    results = {
        ("full", 1): measured(0.2, 0.4),
        ("full", 2): measured(0.8, 0.8),
        ("without", 1): measured(0.1, 0.1),
    }
    found = line(compare_variants(results, reference="full"), "without")
    assert found["difference"] == pytest.approx(0.1 - 0.3)
    assert (found["num_seeds"], found["deviation"]) == (1, None)


def test_p_of_two_languages_is_that_of_welch_by_hand():
    one, other = [0.9, 0.7, 0.8, 0.4, 0.6, 0.2], [0.5, 0.6, 0.4, 0.3, 0.5, 0.4]
    rows = compare_variants({("full", 1): measured(*other), ("better", 1): measured(*one)}, reference="full")
    english, swahili = [0.4, 0.4, 0.1], [0.1, 0.1, -0.2]  # the gaps
    expected = ttest_ind(english, [-gap for gap in swahili], equal_var=False).pvalue
    found = line(rows, "better")
    assert found["difference"] == pytest.approx((0.3 + 0.0) / 2)
    assert found["p"] == found["p_holm"] == pytest.approx(expected)
    variances = [0.03 / 3 / 4, 0.03 / 3 / 4]  # of each language's mean, weight 1/2
    error, df = math.sqrt(sum(variances)), sum(variances) ** 2 / sum(one**2 / 2 for one in variances)
    assert found["p"] == pytest.approx(2 * student.sf(0.15 / error, df=df))
    assert found["num_queries"] == 6


def test_p_of_one_language_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(1)
    one, other = rng.normal(0.52, 0.1, 40), rng.normal(0.5, 0.1, 40)
    assert stratified_test([one - other])[1] == pytest.approx(ttest_rel(one, other).pvalue)


def test_p_of_many_languages_agrees_with_flipped_signs():
    rng = np.random.default_rng(2)
    languages = [rng.normal(mean, 0.2, size) for mean, size in ((0.0, 30), (0.07, 12), (0.02, 200))]
    effect, p = stratified_test(languages)
    cuts = np.cumsum([len(one) for one in languages])[:-1]

    def mean_of_means(gaps):
        return np.mean([part.mean() for part in np.split(gaps, cuts)])

    flipped = permutation_test(
        (np.concatenate(languages),), mean_of_means, permutation_type="samples", n_resamples=4000, rng=3
    )
    assert effect == pytest.approx(flipped.statistic)
    assert p == pytest.approx(flipped.pvalue, abs=0.03)


def test_large_language_does_not_turn_the_sign_of_what_is_tested():
    rng = np.random.default_rng(4)
    arabic, korean = (
        rng.normal(0, 0.3, size) for size in (2896, 213)
    )  # MIRACL's dev queries; made to have these means
    effect, p = stratified_test([arabic - arabic.mean() - 0.02, korean - korean.mean() + 0.06])
    assert effect == pytest.approx(0.02)
    error = math.hypot(arabic.std(ddof=1) / math.sqrt(2896), korean.std(ddof=1) / math.sqrt(213)) / 2
    assert p == pytest.approx(2 * norm.sf(0.02 / error), abs=0.01)
    assert 0.01 < p < 0.1  # pooled, the test called -0.0145 significant and the table showed +0.02 beside it
    low, high = bootstrap_interval(
        [one[None] for one in (arabic - arabic.mean() - 0.02, korean - korean.mean() + 0.06)]
    )
    assert (low, high) == pytest.approx((0.02 - 1.96 * error, 0.02 + 1.96 * error), abs=0.002)


def test_no_p_where_a_language_has_one_query_alone():
    assert stratified_test([np.array([0.1, 0.2, 0.3]), np.array([0.4])]) == (pytest.approx(0.3), None)


def test_no_p_where_nothing_varies():
    assert stratified_test([np.full(5, 0.1 + 0.2), np.full(3, 0.1)]) == (pytest.approx(0.2), None)


def test_false_findings_are_as_many_as_p_says():
    rng = np.random.default_rng(5)
    ps = [
        stratified_test([rng.normal(0, spread, size) for spread, size in ((0.3, 8), (0.1, 40), (0.6, 20))])[1]
        for _ in range(2000)
    ]
    assert np.mean(np.array(ps) < 0.05) == pytest.approx(0.05, abs=0.015)


def test_interval_is_that_of_scipys_bootstrap():
    gaps = np.random.default_rng(6).normal(0.1, 0.3, 60)
    expected = bootstrap((gaps,), np.mean, method="percentile", n_resamples=20_000, rng=7).confidence_interval
    assert bootstrap_interval([gaps[None]]) == pytest.approx(expected, abs=0.01)


def test_interval_is_wider_where_seeds_differ():
    gaps = np.random.default_rng(8).normal(0.1, 0.1, (1, 50))
    one, three = bootstrap_interval([gaps]), bootstrap_interval([np.concatenate([gaps - 0.1, gaps, gaps + 0.1])])
    assert three[0] < one[0] < one[1] < three[1]
    assert bootstrap_interval([gaps]) == one


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


def test_p_of_a_table_counts_all_its_tests():
    values = {
        "full": (0.1, 0.2, 0.3, 0.1, 0.2, 0.4),
        "a": (0.3, 0.1, 0.5, 0.3, 0.5, 0.6),
        "b": (0.1, 0.3, 0.3, 0.2, 0, 0),
    }
    rows = compare_variants({(name, 1): measured(*one) for name, one in values.items()}, reference="full")
    small, large = sorted((line(rows, name) for name in "ab"), key=lambda row: row["p"])
    assert small["p_holm"] == pytest.approx(2 * small["p"])
    assert large["p_holm"] == pytest.approx(max(large["p"], small["p_holm"]))


def test_equal_variants_have_no_p():
    rows = compare_variants({("full", 1): measured(0.5, 0.6), ("same", 1): measured(0.5, 0.6)}, reference="full")
    found = line(rows, "same")
    assert [found[name] for name in ("difference", "low", "high", "p", "p_holm")] == [0, 0, 0, None, None]


def test_variant_alone_is_compared_with_nothing():
    rows = compare_variants({("without", 1): measured(0.5, 0.6)}, reference="full")
    assert [row["difference"] for row in rows] == [None]


def test_metrics_come_one_after_the_other():
    both = pl.concat([measured(0.1, 0.2), measured(0.3, 0.5, metric="R@100")])
    rows = compare_variants({("full", 1): both, ("without", 1): both}, reference="full")
    assert [(row["metric"], row["variant"]) for row in rows] == [
        ("nDCG@10", "full"),
        ("nDCG@10", "without"),
        ("R@100", "full"),
        ("R@100", "without"),
    ]


def test_rejects_variants_measured_on_other_queries():
    with pytest.raises(ValueError, match="the same queries of 'without' and 'full', got 2 and 4, 2 in common"):
        compare_variants({("full", 1): measured(1, 1, 1, 1), ("without", 1): measured(1, 1)}, reference="full")
