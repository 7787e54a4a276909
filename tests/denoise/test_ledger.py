"""The given ledger and that of new candidates become one."""

import polars as pl

from tasks.denoise.ledger import extend_ledger

SCHEMA = {
    "query_id": pl.String,
    "doc_id": pl.String,
    "rank": pl.Int32,
    "decision": pl.String,
    "reason": pl.String,
    "hardness": pl.Int32,
}
GIVEN = pl.DataFrame(
    [
        ("q1", "a", 1, "dropped", "grade_above_max", None),
        ("q1", "b", 2, "kept", "safe", 1),
        ("q2", "a", 1, "kept", "safe", 1),
        ("q2", "b", 2, "kept", "safe", 2),
        ("q2", "c", 3, "kept", "safe", 3),
    ],
    schema=SCHEMA,
    orient="row",
)
FOUND = pl.DataFrame(
    [
        ("q1", "a", 1, "dropped", "judged_relevant", None),  # in the given ledger already
        ("q1", "z", 2, "kept", "safe", 1),
        ("q1", "y", 3, "dropped", "probability_above_max", None),
        ("q1", "x", 4, "kept", "judged_not_relevant", 2),
        ("q1", "w", 5, "kept", "safe", 3),
        ("q3", "v", 9, "kept", "safe", 1),
    ],
    schema=SCHEMA,
    orient="row",
)
SOURCES = FOUND.select("query_id", "doc_id", generated_id=pl.lit("g"), generated_text=pl.lit("g?"))


def extended(num_negatives=3, found=FOUND):
    return extend_ledger(GIVEN, found, SOURCES, num_negatives=num_negatives)


def rows_of(query_id, **settings):
    ledger = extended(**settings).filter(pl.col("query_id") == query_id)
    return ledger.select("doc_id", "decision", "reason", "hardness", "origin").rows()


def test_new_negatives_follow_the_given_ones_in_hardness_up_to_the_number():
    assert rows_of("q1") == [
        ("a", "dropped", "grade_above_max", None, "given"),
        ("b", "kept", "safe", 1, "given"),
        ("z", "kept", "safe", 2, "generated"),
        ("y", "dropped", "probability_above_max", None, "generated"),
        ("x", "kept", "judged_not_relevant", 3, "generated"),
        ("w", "dropped", "beyond_num_negatives", None, "generated"),
    ]


def test_query_without_given_candidates_begins_at_hardness_one():
    assert rows_of("q3") == [("v", "kept", "safe", 1, "generated")]


def test_given_rows_stay_as_they_are():
    given = extended().filter(pl.col("origin") == "given")
    assert given.select(GIVEN.columns).equals(GIVEN)
    assert given.select(pl.col("generated_id", "generated_text").is_null().all()).row(0) == (True, True)


def test_generated_rows_name_their_query():
    new = extended().filter(pl.col("origin") == "generated")
    assert set(new.select("generated_id", "generated_text").rows()) == {("g", "g?")}


def test_query_that_has_enough_keeps_no_new_negative():
    found = FOUND.with_columns(query_id=pl.lit("q2"), doc_id=pl.lit("n-") + pl.col("doc_id"))
    assert [row[1] for row in rows_of("q2", found=found) if row[4] == "generated"] == ["dropped"] * 6


def test_without_new_candidates_only_the_origin_is_added():
    assert extended(found=FOUND.head(0)).select(GIVEN.columns).equals(GIVEN)


def test_ledger_does_not_depend_on_the_order_of_rows():
    again = extend_ledger(GIVEN.reverse(), FOUND.reverse(), SOURCES.reverse(), num_negatives=3)
    assert extended().equals(again)
