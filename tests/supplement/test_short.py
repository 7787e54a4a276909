"""Which queries are short, and the account of how far they were filled up."""

import polars as pl
import pytest

from tasks.supplement.short import find_short, shortfalls, summarise, with_passages

TEXT = pl.String


def ledger(*rows):
    return pl.DataFrame(rows, schema={"query_id": TEXT, "doc_id": TEXT, "decision": TEXT}, orient="row")


QUERIES = pl.DataFrame(
    [("q1", "one", "train"), ("q2", "two", "train"), ("q3", "three", "train")],
    schema={"query_id": TEXT, "text": TEXT, "split": TEXT},
    orient="row",
)
QRELS = pl.DataFrame(
    [("q1", "p2", 1), ("q1", "p1", 2), ("q1", "n", 0), ("q3", "n", 0), ("q4", "p1", 1)],
    schema={"query_id": TEXT, "doc_id": TEXT, "relevance": pl.Int32},
    orient="row",
)
BEFORE = ledger(("q1", "a", "kept"), ("q1", "b", "dropped"), ("q2", "a", "kept"), ("q2", "c", "kept"))
GENERATED = pl.DataFrame(
    [("q1", 1, "bad", "query_empty"), ("q1", 2, "good", None), ("q3", 0, "bad", "no_positive")],
    schema={"parent": TEXT, "attempt": pl.Int32, "status": TEXT, "reason": TEXT},
    orient="row",
)
TRAIN = QUERIES["query_id"]


def test_finds_train_queries_with_too_few_kept_and_their_positives():
    assert find_short(BEFORE, QUERIES, QRELS, num_negatives=2).rows() == [
        ("q1", "one", 1, ["p1", "p2"]),  # its dropped candidate does not count
        ("q3", "three", 2, []),  # not in the ledger at all
    ]


def test_finds_none_where_all_have_enough():
    assert find_short(BEFORE, QUERIES.head(2), QRELS, num_negatives=1).is_empty()


def test_short_queries_get_their_positives_texts():
    short = find_short(BEFORE, QUERIES, QRELS, num_negatives=2)
    first, last = with_passages(short, {"p1": "first", "p2": "second"})
    assert first.positives == [("p1", "first"), ("p2", "second")]
    assert (last.missing, last.positives) == (2, [])


def test_positive_without_a_text_is_an_error():
    short = find_short(BEFORE, QUERIES, QRELS, num_negatives=2)
    with pytest.raises(ValueError, match="expected a text for every positive, got none for 1 such as 'p2'"):
        with_passages(short, {"p1": "first"})


def test_shortfalls_count_what_was_given_brought_and_is_missing():
    after = pl.concat([BEFORE, ledger(("q1", "x", "kept"), ("q1", "y", "dropped"))])
    rows = shortfalls(BEFORE, after, GENERATED, TRAIN, num_negatives=2)
    names = ["query_id", "num_given", "num_generated", "num_missing", "num_queries", "num_bad", "reason"]
    assert rows.columns == names
    assert rows.rows() == [("q1", 1, 1, 0, 1, 1, None), ("q3", 0, 0, 2, 0, 1, "no_positive")]


def test_shortfall_is_blamed_on_the_candidates_where_there_was_a_good_query():
    rows = shortfalls(BEFORE, BEFORE, GENERATED, TRAIN, num_negatives=2)
    assert rows["reason"].to_list() == ["too_few_safe", "no_positive"]


def test_summary_counts_short_queries_and_why_they_still_are():
    rows = shortfalls(BEFORE, BEFORE, GENERATED, TRAIN, num_negatives=2)
    assert summarise(rows, num_negatives=2) == (
        "2 train queries had fewer than 2 hard negatives; generated queries brought 0 (2 attempts were bad); 2 are "
        "still short: 1 no_positive, 1 too_few_safe"
    )
    assert summarise(rows.head(0), num_negatives=2).endswith("0 are still short")
