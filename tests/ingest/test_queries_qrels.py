"""Splits of queries, checks of judgements, counts."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.ingest.qrels import count_by_split, known_judgements, qrels_frame, unique_judgements, unknown_documents
from tasks.ingest.queries import (
    hold_out_validation,
    queries_frame,
    splits_of_judgements,
    unique_queries,
    with_splits,
)
from tasks.ingest.rows import Judgement, Query, bad_row

BROKEN = bad_row("q.tsv", 9, "wrong number of columns", got="1 column")


def query(line, query_id, text="text", split="train"):
    return Query("q.tsv", line, query_id, text, split)


def judgement(line, query_id, doc_id="d", relevance=1, split="train"):
    return Judgement("r.tsv", line, query_id, doc_id, relevance, split)


def train_queries(ids):
    columns = {"query_id": list(ids), "text": [f"about {one}" for one in ids], "split": ["train"] * len(ids)}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def test_queries_frame_is_sorted_given_and_without_parent():
    frame = queries_frame([query(1, "b"), query(2, "a", split="dev"), query(3, "c", split="")])
    assert frame.rows() == [("a", "text", "dev", "given", None), ("b", "text", "train", "given", None)]


def test_queries_frame_of_nothing_has_the_columns():
    frame = queries_frame([])
    assert frame.schema == {name: pl.String for name in ("query_id", "text", "split", "origin", "parent")}


def test_repeated_query_id_is_bad_across_splits():
    rows = [query(1, "a"), query(2, "a", split="dev"), query(3, "a", "other"), BROKEN]
    kept, same, other, broken = unique_queries(rows)
    assert kept == rows[0]
    assert (same.reason, same.got) == ("duplicate id, same content", "'a' again, first in q.tsv, line 1")
    assert other.reason == "duplicate id, other content"
    assert broken == BROKEN


def test_query_id_of_an_earlier_file_is_bad_here_alone():
    (bad,) = unique_queries([query(1, "a", split="dev")], earlier=[query(7, "a"), query(7, "b")])
    assert (bad.reason, bad.got) == ("duplicate id, same content", "'a' again, first in q.tsv, line 7")


def test_query_takes_the_split_whose_qrels_name_it():
    splits = splits_of_judgements([judgement(1, "a"), judgement(2, "b", split="dev"), BROKEN])
    rows = [query(1, "a", split=""), query(2, "b", split=""), query(3, "c", split="")]
    assert [row.split for row in with_splits(rows, splits)] == ["train", "dev", ""]


def test_query_that_two_splits_name_is_bad():
    splits = splits_of_judgements([judgement(1, "a"), judgement(2, "a", split="dev")])
    (bad, broken) = with_splits([query(1, "a", split=""), BROKEN], splits)
    assert (bad.reason, bad.got) == ("query in two splits", "'a' in dev and train")
    assert broken == BROKEN


NO_QRELS = qrels_frame([])
said: list[str] = []


def hold_out(queries, qrels=NO_QRELS, *, share=0.5, seed=0, language="sw"):
    return hold_out_validation(queries, qrels, language=language, share=share, seed=seed, say=said.append)


def test_a_tenth_of_train_is_held_out_and_dev_never():
    ids = [str(number) for number in range(5000)]
    frame = hold_out(train_queries(ids), share=0.1)
    assert 0.09 < (frame["split"] == "validation").mean() < 0.11
    dev = train_queries(ids).with_columns(split=pl.lit("dev"))
    assert hold_out(dev, share=0.9).equals(dev)


def test_held_out_queries_differ_by_seed():
    ids = [str(number) for number in range(200)]
    one, two = (hold_out(train_queries(ids), seed=seed) for seed in (0, 1))
    assert not one.equals(two)


@pytest.mark.parametrize(("share", "split"), [(0.0, "train"), (1.0, "validation")])
def test_hold_out_takes_none_or_all_at_its_ends(share, split):
    assert set(hold_out(train_queries("abc"), share=share)["split"]) == {split}


@settings(deadline=None)  # of a loaded machine
@given(st.lists(st.text("abc", min_size=1), unique=True), st.integers())
def test_held_out_queries_do_not_depend_on_others_that_have_nothing_in_common(ids, seed):
    together = hold_out(train_queries(ids), seed=seed)
    alone = [hold_out(train_queries([one]), seed=seed)["split"][0] for one in ids]
    assert together["split"].to_list() == alone


def test_questions_about_one_passage_are_held_out_together_in_every_language():
    """As XQuAD has them: every language numbers its questions anew, and the passages have the same ids."""
    passages = [f"p{number // 5}" for number in range(200)]
    splits = {}
    for language, offset in (("ar", 0), ("hi", 7)):
        ids = [f"x{number + offset:03}" for number in range(200)]
        judged = qrels_frame([judgement(1, *pair) for pair in zip(ids, passages, strict=True)])
        frame = hold_out(train_queries(ids), judged, share=0.3, language=language)
        of_passage = frame.with_columns(passage=pl.Series(passages)).group_by("passage").agg(pl.col("split").unique())
        assert (of_passage["split"].list.len() == 1).all()
        splits[language] = dict(of_passage.select("passage", pl.col("split").list.first()).iter_rows())
    assert splits["ar"] == splits["hi"]
    assert set(splits["ar"].values()) == {"train", "validation"}


def test_second_judgement_of_a_pair_is_bad():
    rows = [judgement(1, "a", "d"), judgement(2, "a", "d"), judgement(3, "a", "d", 0), judgement(4, "a", "e"), BROKEN]
    kept, same, other, distinct, broken = unique_judgements(rows)
    assert (kept, distinct, broken) == (rows[0], rows[3], BROKEN)
    assert (same.reason, other.reason) == ("duplicate judgement", "contradictory judgement")
    assert other.got == "'a', 'd' again, first in r.tsv, line 1"


def test_unknown_documents_are_those_that_the_corpus_lacks():
    rows = [judgement(1, "a", "d1"), judgement(2, "a", "d2"), BROKEN]
    corpus = pl.LazyFrame({"doc_id": ["d2", "d3"], "title": ["", ""], "text": ["", ""]})
    assert unknown_documents(rows, corpus) == {"d1"}
    assert unknown_documents([], corpus) == set()


def test_judgements_of_unknown_queries_and_documents_are_bad():
    rows = [judgement(1, "a", "d1"), judgement(2, "x", "d1"), judgement(3, "a", "d9"), BROKEN]
    known, no_query, no_document, broken = known_judgements(rows, splits={"a": "validation"}, unknown_doc_ids={"d9"})
    assert (known, broken) == (rows[0], BROKEN)
    assert (no_query.reason, no_query.got, no_query.line) == ("unknown query", "'x'", 2)
    assert (no_document.reason, no_document.got, no_document.content) == ("unknown document", "'d9'", "a\td9\t1")


def test_dev_judgement_of_an_unknown_document_stays_besides():
    bad, kept = known_judgements([judgement(1, "a", "d9", split="dev")], splits={"a": "dev"}, unknown_doc_ids={"d9"})
    assert (bad.reason, kept) == ("unknown document", judgement(1, "a", "d9", split="dev"))


def test_grades_below_the_threshold_are_not_relevant_in_training_alone():
    splits = {"a": "train", "b": "validation", "c": "dev"}
    rows = [judgement(1, query_id, f"d{grade}", grade, split="") for query_id in splits for grade in (0, 1, 2, 3)]
    found = known_judgements(rows, splits=splits, unknown_doc_ids=set(), relevant_from=2)
    grades = [row.relevance for row in found]
    assert [grades[start : start + 4] for start in (0, 4, 8)] == [[0, 0, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]]


def test_judgement_of_a_query_of_another_split_is_bad():
    rows = [judgement(1, "a", "d"), judgement(2, "a", "d", split="")]
    bad, fine = known_judgements(rows, splits={"a": "dev"}, unknown_doc_ids=set())
    assert (bad.reason, bad.got) == ("unknown query", "'a', a query of dev")
    assert fine == rows[1]


def test_qrels_frame_is_sorted_by_both_ids():
    frame = qrels_frame([judgement(1, "b", "d"), judgement(2, "a", "e", 0), judgement(3, "a", "d")])
    assert frame.rows() == [("a", "d", 1), ("a", "e", 0), ("b", "d", 1)]
    assert frame.schema["relevance"] == pl.Int32


def test_counts_queries_and_judgements_per_split():
    queries = queries_frame([query(1, "a"), query(2, "b"), query(3, "c"), query(4, "e", split="dev")])
    qrels = qrels_frame(
        [judgement(1, "a", "d"), judgement(2, "a", "e", 0), judgement(3, "b", "d", 0), judgement(4, "x", "d")]
    )
    assert count_by_split(queries, qrels).rows() == [("dev", 1, 0, 0, 0, 1, 1), ("train", 3, 3, 1, 2, 1, 2)]


def test_counts_nothing_of_empty_frames():
    assert count_by_split(queries_frame([]), qrels_frame([])).height == 0
