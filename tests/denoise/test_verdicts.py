"""From verdicts to grades, and grades into the table of scores."""

import polars as pl
import pytest

from tasks.denoise.verdicts import (
    count_votes,
    put_votes,
    raw_scores,
    uncertain_pairs,
    verdict_table,
    with_references,
)
from tasks.models.chat import Reply

SCHEMA = {
    "query_id": pl.String,
    "doc_id": pl.String,
    "reference": pl.String,
    "accuracy": pl.Int32,
    "completeness": pl.Int32,
    "status": pl.String,
}


def verdicts(**samples):
    """doc_id -> marks of its samples; None: unparsed."""
    rows = [
        ("q", doc_id, None if doc_id == "alone" else "r", *(marks or (None, None)), "parsed" if marks else "unparsed")
        for doc_id, votes in samples.items()
        for marks in votes
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def vote(*samples, rule="majority"):
    ((_, _, _, raw, grade),) = count_votes(verdicts(d=samples), vote=rule).rows()
    return raw, grade


@pytest.mark.parametrize(
    ("accuracy", "completeness", "grade"),
    [(0, 0, 0), (0, 2, 0), (2, 0, 0), (1, 0, 0), (1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 2, 2)],
)
def test_grade_is_the_weaker_mark(accuracy, completeness, grade):
    assert vote((accuracy, completeness)) == (accuracy + completeness, grade)


@pytest.mark.parametrize(
    ("grades", "majority", "highest"),
    [
        ((0, 0, 2), 0, 2),
        ((2, 2, 0), 2, 2),
        ((0, 1, 2), 2, 2),  # a tie of three
        ((0, 0, 1, 1), 1, 1),  # a tie of two
        ((0, 0, 0, 1, 1), 0, 1),
        ((0, 0, 1, 2), 0, 2),
    ],
)
def test_majority_decides_and_a_tie_goes_to_the_higher(grades, majority, highest):
    samples = [(grade, grade) for grade in grades]
    assert vote(*samples)[1] == majority
    assert vote(*samples, rule="highest")[1] == highest


def test_unparsed_samples_do_not_vote():
    assert vote((0, 0), (1, 1), (1, 1), None, rule="majority") == (pytest.approx(4 / 3), 1)


@pytest.mark.parametrize(
    "samples", [(None,), (None, None, None), ((0, 0), None), ((0, 0), None, None), ((0, 0), (0, 0), None, None)]
)
@pytest.mark.parametrize("rule", ["majority", "highest"])
def test_without_a_majority_of_parsed_samples_there_is_no_grade(samples, rule):
    assert vote(*samples, rule=rule) == (None, None)


def test_votes_do_not_depend_on_the_order_of_verdicts():
    table = verdicts(b=[(0, 0), (1, 2), None], a=[(2, 2), (1, 1), (2, 2)])
    votes = count_votes(table, vote="majority")
    assert votes.rows() == count_votes(table.reverse(), vote="majority").rows()
    assert votes["doc_id"].to_list() == ["a", "b"]


def test_votes_of_nothing_are_nothing():
    assert count_votes(verdicts(), vote="majority").rows() == []


def test_raw_scores_leave_out_what_has_no_majority():
    votes = count_votes(verdicts(a=[(2, 2)], b=[None], alone=[(1, 1)]), vote="majority")
    assert raw_scores(votes).rows() == [("q", "a", "llm", 4.0, False), ("q", "alone", "llm", 2.0, True)]


SCORES = pl.DataFrame(
    [("q", "a", "fold-1", 1.0, 0.9, 2), ("q", "b", "fold-1", 0.5, 0.4, 1), ("q", "c", "fold-1", 0.0, 0.1, 0)],
    schema={
        "query_id": pl.String,
        "doc_id": pl.String,
        "judge": pl.String,
        "raw": pl.Float64,
        "probability": pl.Float64,
        "grade": pl.Int32,
    },
    orient="row",
)


def test_llm_s_grades_take_the_place_of_others_and_scores_stay():
    votes = count_votes(verdicts(a=[(0, 0)], b=[None]), vote="majority")
    assert put_votes(SCORES, votes).rows() == [
        ("q", "a", "llm", 1.0, 0.9, 0),
        ("q", "b", "llm", 0.5, 0.4, None),
        ("q", "c", "fold-1", 0.0, 0.1, 0),
    ]


def test_pair_that_only_the_llm_was_asked_about_has_a_row():
    votes = count_votes(verdicts(z=[None], a=[(2, 2)]), vote="majority")
    table = put_votes(SCORES, votes)
    assert table["doc_id"].to_list() == ["a", "b", "c", "z"]
    assert table.rows()[3] == ("q", "z", "llm", None, None, None)


QRELS = pl.DataFrame(
    [("q", "p", 1), ("q", "r", 2), ("q", "n", 0), ("o", "x", 1)],
    schema={"query_id": pl.String, "doc_id": pl.String, "relevance": pl.Int32},
    orient="row",
)


def test_reference_is_the_most_relevant_other_document():
    pairs = pl.DataFrame([("q", "d"), ("q", "r"), ("o", "x"), ("u", "d")], schema=["query_id", "doc_id"], orient="row")
    references = with_references(pairs, QRELS.reverse())
    assert references["reference"].to_list() == ["r", "p", None, None]


def test_what_is_judged_below_zero_is_no_reference():
    pairs = pl.DataFrame([("q", "d")], schema=["query_id", "doc_id"], orient="row")
    judged = QRELS.filter(pl.col("doc_id") == "n").with_columns(relevance=pl.lit(-1, dtype=pl.Int32))
    assert with_references(pairs, judged)["reference"].to_list() == [None]


def test_uncertain_pairs_are_unjudged_candidates_within_the_band_ends_included():
    scores = pl.DataFrame(
        [("q", doc, p) for doc, p in {"a": 0.1, "b": 0.5, "c": 0.09, "d": 0.51, "n": 0.3, "z": 0.3}.items()],
        schema=["query_id", "doc_id", "probability"],
        orient="row",
    )
    candidates = scores.filter(pl.col("doc_id") != "z")
    found = uncertain_pairs(candidates, scores.reverse(), QRELS, band=(0.1, 0.5))
    assert found.rows() == [("q", "a"), ("q", "b")]


def test_verdict_table_has_a_row_per_sample():
    pairs = pl.DataFrame({"query_id": ["q", "q"], "doc_id": ["a", "b"], "reference": ["p", None]})
    replies = [Reply('{"accuracy": 2, "completeness": 1}', 5, 6), Reply("no", 7, 8)] * 2
    table = verdict_table(pairs, replies, num_samples=2)
    assert table.rows() == [
        ("q", "a", 0, "p", 2, 1, "parsed", replies[0].text, 5, 6),
        ("q", "a", 1, "p", None, None, "unparsed", "no", 7, 8),
        ("q", "b", 0, None, 2, 1, "parsed", replies[0].text, 5, 6),
        ("q", "b", 1, None, None, None, "unparsed", "no", 7, 8),
    ]


def test_verdict_table_of_no_pairs_is_empty_with_all_columns():
    pairs = pl.DataFrame(schema={"query_id": pl.String, "doc_id": pl.String, "reference": pl.String})
    table = verdict_table(pairs, [], num_samples=3)
    assert len(table) == 0
    assert table.columns[2:6] == ["sample", "reference", "accuracy", "completeness"]
