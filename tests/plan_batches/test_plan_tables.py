from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from support.plan_data import Language, ledger_frame, plain_language, qrels_frame, queries_frame, table_of, topics_frame

from tasks.models.texts import same_text
from tasks.plan_batches.tables import Lists, build_table, count_queries, shortfalls

LISTS = Lists(start=np.array([0, 2, 2, 5]), document=np.array([7, 8, 1, 2, 3]))


def test_lists_of_joins_lists_in_the_order_asked():
    owner, document = LISTS.of(np.array([2, 0, 1, 2]))
    assert owner.tolist() == [0, 0, 0, 1, 1, 3, 3, 3]
    assert document.tolist() == [1, 2, 3, 7, 8, 1, 2, 3]


def test_lists_give_one_querys_documents():
    assert [LISTS[query].tolist() for query in range(3)] == [[7, 8], [], [1, 2, 3]]


def test_lists_of_nothing_is_empty():
    owner, document = LISTS.of(np.array([], dtype=np.int64))
    assert owner.size == document.size == 0


def test_lists_only_keeps_wanted_documents():
    wanted = np.zeros(9, dtype=bool)
    wanted[[8, 1, 3]] = True
    assert LISTS.only(wanted).start.tolist() == [0, 1, 1, 3]
    assert LISTS.only(wanted).document.tolist() == [8, 1, 3]


TWO = Language("en", {"q1": ["b", "a"], "q2": ["c"]}, {"q1": ["e", "d"]}, {"q2": ["b"]}, {"q1": 4, "q2": 0})


def test_table_numbers_sorted_ids():
    table = TWO.table
    assert table.query_ids.to_list() == ["q1", "q2"]
    assert table.document_ids.to_list() == ["a", "b", "c", "d", "e"]
    assert table.topic.tolist() == [4, 0]
    assert table.positives.document.tolist() == [0, 1, 2]
    assert table.hard_negatives.start.tolist() == [0, 2, 2]
    assert table.hard_negatives.document.tolist() == [4, 3]  # the hardest first
    assert table.unsafe.document.tolist() == [0, 1, 1, 2]
    assert table.unsafe_positives.document.tolist() == [0, 1, 1, 2]


def test_table_does_not_depend_on_row_order():
    for seed in range(3):
        other = TWO.shuffled(seed)
        assert other.document_ids.equals(TWO.table.document_ids)
        assert other.hard_negatives.document.tolist() == TWO.table.hard_negatives.document.tolist()
        assert other.unsafe.document.tolist() == TWO.table.unsafe.document.tolist()


def test_table_leaves_out_other_queries_and_those_without_positive():
    queries = queries_frame(["q1", "lonely"])
    qrels = qrels_frame({"q1": ["a"], "held-out": ["b"]})
    table = table_of("en", queries, qrels, ledger_frame({"held-out": ["c"]}), topics_frame({"q1": 0}))
    assert table.query_ids.to_list() == ["q1"]


def test_table_holds_integers_of_four_bytes():
    table = plain_language("en", 20).table
    lists = (table.positives, table.hard_negatives, table.unsafe, table.unsafe_positives)
    assert {one.document.dtype for one in lists} == {np.dtype(np.int32)}


def test_table_rejects_query_without_topic():
    with pytest.raises(ValueError, match="expected a topic for every train query of 'en', got none for 1, .* 'q2'"):
        table_of("en", TWO.queries, TWO.qrels, TWO.ledger, topics_frame({"q1": 0}))


def test_count_queries_counts_pairs():
    counts = count_queries([plain_language("sw", 4, num_topics=2).table, plain_language("en", 3, num_topics=2).table])
    assert counts.rows() == [("en", 0, 2), ("en", 1, 1), ("sw", 0, 2), ("sw", 1, 2)]


def test_shortfalls_names_queries_left_out_and_short_of_negatives():
    queries = pl.concat([TWO.queries, queries_frame(["lonely"])])
    table = table_of("en", queries, TWO.qrels, TWO.ledger, topics_frame(TWO.topic))
    lines = shortfalls([table], num_negatives=2)
    assert lines == [
        "en: 1 train queries without a positive left out",
        "en: 1 train queries have fewer than 2 hard negatives; random documents fill them up",
    ]
    assert shortfalls([plain_language("en", 3).table], num_negatives=7) == []


def test_copies_are_one_document_in_the_table():
    texts = {"b": "Red  is a colour", "d": "red is a COLOUR\n", "e": "blue"}  # a and c are not there
    language = replace(TWO, documents=texts)
    table = language.table
    assert table.identity.tolist() == [0, 1, 2, 1, 4]  # a b c d e
    assert table.hard_negatives.document.tolist() == [4]  # d is a copy of q1's positive b
    assert table.unsafe.document.tolist() == [0, 1, 1, 2]
    assert table.identity.dtype == np.int32


def test_document_that_says_the_query_is_unsafe_for_it_wherever_it_comes_from():
    # e is q1's kept hard negative; c is q2's positive and says what q1 says
    texts = {"e": "WHO  wrote it?", "c": "who wrote it?"}
    table = replace(TWO, text={"q1": "Who wrote it?"}, documents=texts).table
    assert table.hard_negatives.document.tolist() == [3]  # d alone
    assert table.unsafe[0].tolist() == [0, 1, 2]  # a, b; c and its copy e
    assert table.unsafe_positives[0].tolist() == [0, 1, 2]
    assert TWO.table.unsafe[0].tolist() == [0, 1]


def test_document_with_the_querys_id_is_unsafe_where_it_is_to_be_ignored():
    frames = {"queries": queries_frame(["a", "q"]), "qrels": qrels_frame({"a": ["b"], "q": ["a"]})}
    frames |= {"ledger": ledger_frame({}), "documents": pl.DataFrame({"doc_id": ["a"], "title": "", "text": "else"})}
    lazy = {name: frame.lazy() for name, frame in frames.items()}
    topics = topics_frame({"a": 0, "q": 0})
    assert build_table("en", **lazy, topics=topics).unsafe[0].tolist() == [1]
    assert build_table("en", **lazy, topics=topics, ignore_own_document=True).unsafe[0].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("caf\u00e9", "cafe\u0301", True),
        ("ｆｕｌｌ", "FULL", True),
        (" two\u00a0 words\n", "two words", True),
        ("Straße", "STRASSE", True),
        ("ΛΟΓΟΣ", "λογος", True),
        ("İSTANBUL ISPARTA", "istanbul ısparta", True),
        ("\ufeffWahl\u00adrecht\u200b", "Wahlrecht", True),
        ("ا\u0640\u0644\u200fس\u064e\u0644\u0651ام", "السلام", True),
        ("ש\u05c1\u05b8לו\u05b9ם", "שלום", True),
        ("می\u200cخواهم", "میخواهم", True),
        ("की", "क", False),  # a vowel sign that is no option
        ("two words", "twowords", False),
        ("cafe", "café", False),
        ("1.0", "10", False),
    ],
)
def test_same_text_folds_unicode_case_and_white_space_alone(one, other, same):
    first, second = pl.DataFrame({"text": [one, other]}).select(same_text("text")).to_series()
    assert (first == second) == same
