"""What a bake-off counts, on two small ledgers."""

import polars as pl
import pytest

from tasks.bake_off.compare import measure_ledger, summarise

COLUMNS = ("query_id", "doc_id", "rank", "probability", "decision", "reason")


def ledger(*rows: tuple[object, ...]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=list(COLUMNS), orient="row")


def truth(*pairs: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(list(pairs), schema={"query_id": pl.String, "doc_id": pl.String}, orient="row")


LEDGER = ledger(
    ("p", "a", 1, 0.9, "dropped", "score_above_max"),  # planted, found
    ("p", "b", 2, 0.8, "dropped", "score_above_max"),  # a false alarm
    ("p", "c", 3, 0.5, "kept", "safe"),  # planted, missed
    ("p", "d", 4, 0.3, "kept", "judged_not_relevant"),
    ("p", "e", 5, 0.1, "dropped", "beyond_num_negatives"),  # planted, neither found nor kept
    ("q", "a", 1, 0.7, "dropped", "judged_relevant"),
    ("q", "f", 6, 0.2, "kept", "safe"),
)
PLANTED = truth(("p", "a"), ("p", "c"), ("p", "e"), ("q", "nowhere"))


def measured(frame: pl.DataFrame = LEDGER, planted: pl.DataFrame | None = PLANTED, num_negatives: int = 2):
    return dict(measure_ledger(frame, planted, num_negatives=num_negatives).iter_rows())


def test_counts_decisions_and_reasons():
    found = measured(planted=None)
    assert (found["queries"], found["candidates"], found["kept"], found["dropped"]) == (2, 7, 3, 4)
    reasons = {"safe": 2, "judged_not_relevant": 1, "score_above_max": 2, "judged_relevant": 1}
    assert {name: found[name] for name in reasons} == reasons
    assert found["mean_rank"] == pytest.approx((3 + 4 + 6) / 3)
    assert found["mean_probability"] == pytest.approx((0.5 + 0.3 + 0.2) / 3)


def test_counts_queries_with_too_few_negatives():
    assert measured(num_negatives=2)["short_queries"] == 1  # q has one
    assert measured(num_negatives=1)["short_queries"] == 0
    assert measured(num_negatives=3)["short_queries"] == 2


def test_recall_and_precision_count_the_strategys_own_distrust():
    found = measured()
    assert (found["planted"], found["planted_found"], found["planted_kept"]) == (3, 1, 1)
    assert found["recall"] == pytest.approx(1 / 3)
    assert found["precision"] == pytest.approx(1 / 2)  # judged_relevant and beyond_num_negatives are no distrust


def test_share_of_nothing_has_no_row():
    trusting = LEDGER.filter(pl.col("decision") == "kept")
    assert "precision" not in measured(trusting)
    assert "recall" not in measured(planted=truth())
    assert "recall" not in measured(planted=None)


def test_empty_ledger_counts_nothing():
    found = measured(LEDGER.clear())
    assert found == {"queries": 0, "short_queries": 0, "candidates": 0, "kept": 0, "dropped": 0} | {
        "planted": 0,
        "planted_found": 0,
        "planted_kept": 0,
    }


def test_order_of_the_ledger_does_not_matter():
    shuffled = LEDGER.sample(fraction=1.0, shuffle=True, seed=3)
    assert measure_ledger(shuffled, PLANTED, num_negatives=2).equals(measure_ledger(LEDGER, PLANTED, num_negatives=2))


def test_all_sums_counts_and_averages_shares_over_the_languages_that_have_one():
    sw = measure_ledger(LEDGER, PLANTED, num_negatives=2)
    en = measure_ledger(LEDGER.filter(pl.col("query_id") == "q"), truth(), num_negatives=2)
    rows = summarise({"threshold": {"sw": sw, "en": en}})
    total = dict(rows.filter(pl.col("language") == "all").select("metric", "value").iter_rows())
    assert (total["candidates"], total["kept"], total["planted"]) == (9, 4, 3)
    assert total["mean_rank"] == pytest.approx(((3 + 4 + 6) / 3 + 6) / 2)
    assert total["recall"] == pytest.approx(1 / 3)  # en has nothing planted, so no recall


def test_strategies_keep_their_order_and_languages_follow_the_alphabet():
    one = measure_ledger(LEDGER, None, num_negatives=2)
    rows = summarise({"shifted": {"sw": one, "en": one}, "naive": {"sw": one, "en": one}})
    order = list(dict.fromkeys(rows.select("strategy", "language").rows()))
    assert order == [
        ("shifted", "all"),
        ("shifted", "en"),
        ("shifted", "sw"),
        ("naive", "all"),
        ("naive", "en"),
        ("naive", "sw"),
    ]
    assert summarise({}).is_empty()
