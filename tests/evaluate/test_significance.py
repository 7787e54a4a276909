import math

import polars as pl
import pytest
from scipy.stats import t as student

from tasks.evaluate.significance import compare_variants


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


def test_p_is_that_of_the_paired_t_test_by_hand():
    one, other = [0.9, 0.7, 0.8, 0.4], [0.5, 0.6, 0.4, 0.3]
    rows = compare_variants({("full", 1): measured(*other), ("better", 1): measured(*one)}, reference="full")
    gaps = [a - b for a, b in zip(one, other, strict=True)]
    mean = sum(gaps) / 4
    error = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / 3 / 4)
    expected = 2 * student.sf(mean / error, df=3)
    assert line(rows, "better")["p"] == pytest.approx(expected)
    assert line(rows, "better")["num_queries"] == 4


def test_equal_variants_have_no_p():
    rows = compare_variants({("full", 1): measured(0.5, 0.6), ("same", 1): measured(0.5, 0.6)}, reference="full")
    assert (line(rows, "same")["difference"], line(rows, "same")["p"]) == (0, None)


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
