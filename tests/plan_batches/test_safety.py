import polars as pl
from support.plan_data import LEDGER, ledger_frame, qrels_frame, queries_frame

from tasks.plan_batches.safety import kept_pairs, unsafe_pairs


def unsafe(queries: pl.DataFrame, qrels: pl.DataFrame, ledger: pl.DataFrame) -> list[tuple[str, str]]:
    return unsafe_pairs(queries, qrels, ledger).rows()


def decided(decision: str, reason: str, grade: int) -> pl.DataFrame:
    return pl.DataFrame([("q", "d", decision, reason, grade, None)], schema=LEDGER, orient="row")


NO_QRELS = qrels_frame({})


def test_judged_relevant_documents_are_unsafe():
    qrels = pl.concat([qrels_frame({"q": ["b", "a"]}), qrels_frame({"q": ["c"]}, relevance=0)])
    assert unsafe(queries_frame(["q"]), qrels, ledger_frame({})) == [("q", "a"), ("q", "b")]


def test_documents_dropped_as_likely_relevant_are_unsafe():
    for reason in ("grade_above_max", "score_near_positive", "rank_within_shift", "a reason not yet thought of"):
        assert unsafe(queries_frame(["q"]), NO_QRELS, decided("dropped", reason, 0)) == [("q", "d")]


def test_documents_dropped_as_surplus_are_safe_unless_graded_relevant():
    assert unsafe(queries_frame(["q"]), NO_QRELS, decided("dropped", "beyond_num_negatives", 0)) == []
    assert unsafe(queries_frame(["q"]), NO_QRELS, decided("dropped", "beyond_num_negatives", 1)) == [("q", "d")]


def test_kept_documents_are_safe_whatever_their_grade():
    assert unsafe(queries_frame(["q"]), NO_QRELS, decided("kept", "safe", 2)) == []


def test_queries_with_one_text_share_unsafe_documents_over_splits():
    queries = pl.concat(
        [
            queries_frame(["train"], texts=["Who wrote it?"]),
            queries_frame(["dev"], texts=[" who wrote it? "], split="dev"),
            queries_frame(["other"], texts=["Who sang it?"]),
        ]
    )
    assert unsafe(queries, qrels_frame({"dev": ["d"]}), ledger_frame({})) == [("dev", "d"), ("train", "d")]


def test_kept_pairs_come_hardest_first():
    ledger = ledger_frame({"q": ["z", "a"]}, {"q": ["m"]}).reverse()
    assert kept_pairs(ledger, unsafe_pairs(queries_frame(["q"]), NO_QRELS, ledger)).rows() == [("q", "z"), ("q", "a")]


def test_kept_pair_goes_when_a_twin_query_finds_it_relevant():
    queries = queries_frame(["q", "twin"], texts=["same", "same"])
    ledger = ledger_frame({"q": ["a", "b"]})
    pairs = unsafe_pairs(queries, qrels_frame({"twin": ["a"]}), ledger)
    assert kept_pairs(ledger, pairs).rows() == [("q", "b")]
