"""The definition of an unsafe document, as the planner's tables and the oracle of a plan see it."""

import numpy as np
import polars as pl
from support.plan_data import LEDGER, ledger_frame, qrels_frame, queries_frame, table_of, topics_frame
from support.plan_oracle import Known

Pairs = list[tuple[str, str]]


def listed(queries: pl.DataFrame, qrels: pl.DataFrame, ledger: pl.DataFrame, what: str) -> Pairs:
    """List a table's pairs; each train query is given a positive of its own, which is left out of the answer."""
    train = queries.filter(pl.col("split") == "train")["query_id"]
    qrels = pl.concat([qrels, qrels_frame({query: [f"{query}+"] for query in train})])
    table = table_of("en", queries, qrels, ledger, topics_frame(dict.fromkeys(train, 0)))
    owner, document = getattr(table, what).of(np.arange(table.num_queries))
    pairs = [(table.query_ids[int(q)], table.document_ids[int(d)]) for q, d in zip(owner, document, strict=True)]
    if what == "unsafe":
        # Compared as sets, and only documents that are in the table: others cannot be drawn.
        known = Known(queries, qrels, ledger).unsafe
        assert {(q, d) for q in known for d in known[q] if d in set(table.document_ids)} == set(pairs)
    return [pair for pair in pairs if pair[1] != f"{pair[0]}+"]


def unsafe(queries: pl.DataFrame, qrels: pl.DataFrame, ledger: pl.DataFrame) -> Pairs:
    return listed(queries, qrels, ledger, "unsafe")


def decided(decision: str, reason: str, grade: int | None) -> pl.DataFrame:
    return pl.DataFrame([("q", "d", decision, reason, grade, None)], schema=LEDGER, orient="row")


NO_QRELS = qrels_frame({})


def test_judged_relevant_documents_are_unsafe():
    qrels = pl.concat([qrels_frame({"q": ["b", "a"]}), qrels_frame({"q": ["c"]}, relevance=0)])
    assert unsafe(queries_frame(["q"]), qrels, ledger_frame({})) == [("q", "a"), ("q", "b")]


def test_documents_dropped_as_likely_relevant_are_unsafe():
    for reason in ("grade_above_max", "score_near_positive", "rank_within_shift", "a reason not yet thought of"):
        assert unsafe(queries_frame(["q"]), NO_QRELS, decided("dropped", reason, 0)) == [("q", "d")]


def test_documents_whose_verdict_could_not_be_read_are_unsafe():
    assert unsafe(queries_frame(["q"]), NO_QRELS, decided("dropped", "verdict_unparsed", None)) == [("q", "d")]


def test_documents_dropped_as_surplus_are_safe_unless_graded_relevant():
    assert unsafe(queries_frame(["q"]), NO_QRELS, decided("dropped", "beyond_num_negatives", 0)) == []
    assert unsafe(queries_frame(["q"]), NO_QRELS, decided("dropped", "beyond_num_negatives", None)) == []
    assert unsafe(queries_frame(["q"]), NO_QRELS, decided("dropped", "beyond_num_negatives", 1)) == [("q", "d")]


def test_kept_documents_are_safe_whatever_their_grade():
    assert unsafe(queries_frame(["q"]), NO_QRELS, decided("kept", "safe", 2)) == []


def test_queries_with_one_text_share_unsafe_documents():
    queries = queries_frame(["one", "twin", "other"], texts=["Who wrote it?", " who  wrote it? ", "Who sang it?"])
    ledger = ledger_frame({"other": ["d"]}, {"twin": ["e"]})
    found = unsafe(queries, qrels_frame({"twin": ["d"]}), ledger)
    assert set(found) >= {("one", "d"), ("one", "e"), ("twin", "d"), ("twin", "e")}
    assert not any(query == "other" for query, _ in found)


def test_kept_pairs_come_hardest_first_whatever_their_order():
    ledger = ledger_frame({"q": ["z", "a"]}, {"q": ["m"]})
    for rows in (ledger, ledger.reverse()):
        assert listed(queries_frame(["q"]), NO_QRELS, rows, "hard_negatives") == [("q", "z"), ("q", "a")]


def test_kept_pair_goes_when_a_twin_query_finds_it_relevant():
    queries = queries_frame(["q", "twin"], texts=["same", "same"])
    ledger = ledger_frame({"q": ["a", "b"]})
    assert listed(queries, qrels_frame({"twin": ["a"]}), ledger, "hard_negatives") == [("q", "b")]


def test_pair_that_is_kept_twice_counts_once():
    # A supplemented query may find a document again that the query itself has found.
    ledger = pl.concat([ledger_frame({"q": ["a", "b"]}), ledger_frame({"q": ["b", "c"]})])
    assert listed(queries_frame(["q"]), NO_QRELS, ledger, "hard_negatives") == [("q", "a"), ("q", "b"), ("q", "c")]


def test_pair_that_is_kept_and_dropped_is_unsafe():
    ledger = pl.concat([ledger_frame({"q": ["a", "b"]}), ledger_frame({}, {"q": ["b"]})])
    queries = queries_frame(["q"])
    assert listed(queries, NO_QRELS, ledger, "hard_negatives") == [("q", "a")]
    assert unsafe(queries, NO_QRELS, ledger) == [("q", "b")]
