import polars as pl
import pytest

from tasks.plan_batches.shares import count_masked, masked_lines, plan_shares, topics_per_batch

TOPICS = pl.DataFrame(
    {
        "language": ["en"] * 3 + ["sw"],
        "query_id": ["1", "2", "3", "1"],
        "topic": [0, 0, 1, 1],
        "label": ["sport", "sport", "law", "law"],
    }
)
PLAN = pl.DataFrame({"language": ["en", "en", "sw", "sw"], "topic": [0, 1, 1, 1], "weight": [2.0, 1.0, 0.5, 0.5]})


def rows(topics: pl.DataFrame = TOPICS, plan: pl.DataFrame = PLAN) -> list[tuple[object, ...]]:
    return plan_shares(topics, plan).rows()


def test_shares_before_and_after_by_hand():
    assert rows() == [
        ("language", "en", 3, 2, 0.75, 0.5, 0.75, 1.5),
        ("language", "sw", 1, 2, 0.25, 0.5, 0.25, 0.5),
        ("topic", "0 sport", 2, 1, 0.5, 0.25, 0.5, 2.0),
        ("topic", "1 law", 2, 3, 0.5, 0.75, 0.5, pytest.approx(2 / 3)),
    ]


def test_topic_that_never_came_has_no_mean_weight():
    assert rows(plan=PLAN.filter(pl.col("topic") == 1))[2] == ("topic", "0 sport", 2, 0, 0.5, 0.0, 0.0, None)


def test_topics_are_ordered_by_number():
    many = TOPICS.with_columns(topic=pl.Series([10, 9, 2, 2]), label=pl.lit("x"))
    assert [row[1] for row in rows(many, PLAN.with_columns(topic=pl.lit(2)))][2:] == ["2 x", "9 x", "10 x"]


def test_order_of_rows_changes_nothing():
    assert rows(TOPICS.reverse(), PLAN.reverse()) == rows()


def test_lazy_frames_are_read_lazily():
    assert plan_shares(TOPICS.lazy(), PLAN.lazy()).equals(plan_shares(TOPICS, PLAN))


def test_topics_per_batch_beside_the_most_possible_by_hand():
    # en: two batches of three slots; topic 0 has four slots, topic 1 two: both could be in both batches.
    plan = pl.DataFrame(
        {
            "step": [0, 0, 0, 1, 1, 1, 2, 2, 3, 3],
            "language": ["en"] * 6 + ["sw"] * 4,
            "topic": [0, 0, 0, 0, 1, 1, 5, 6, 5, 5],
        }
    )
    assert topics_per_batch(plan).rows() == [("en", 2, 1.5, 2.0), ("sw", 2, 1.5, 1.5)]
    assert topics_per_batch(plan.lazy().reverse()).rows() == topics_per_batch(plan).rows()


def test_says_how_many_slots_are_masked_over_all_parts():
    def part(*rows: tuple[str, list[str]]) -> pl.DataFrame:
        return pl.DataFrame(rows, schema={"language": pl.String, "not_negatives": pl.List(pl.String)}, orient="row")

    parts = [part(("sw", []), ("en", ["d"]), ("en", [])), part(("en", ["d", "e"]), ("en", []))]
    (line,) = masked_lines(count_masked(one) for one in parts)
    assert line.startswith("en: 2 of 4 slots (50.0%) have documents in their batch that may be relevant")
