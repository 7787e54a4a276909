import weakref
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from support.plan_data import Language, ledger_frame, plain_language, qrels_frame, queries_frame, table_of, topics_frame

from tasks.plan_batches.lists import Lists
from tasks.plan_batches.shelf import Shelf
from tasks.plan_batches.tables import build_table, count_queries, shortfalls

LISTS = Lists(start=np.array([0, 2, 2, 5]), document=np.array([7, 8, 1, 2, 3]))


def test_lists_of_joins_lists_in_the_order_asked():
    owner, document = LISTS.of(np.array([2, 0, 1, 2]))
    assert owner.tolist() == [0, 0, 0, 1, 1, 3, 3, 3]
    assert document.tolist() == [1, 2, 3, 7, 8, 1, 2, 3]


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
    assert table.kept.start.tolist() == [0, 2, 2]
    assert table.kept.document.tolist() == [4, 3]  # the hardest first
    assert table.unsafe.document.tolist() == [0, 1, 1, 2]
    assert table.unsafe_positives.document.tolist() == [0, 1, 1, 2]


def test_table_does_not_depend_on_row_order():
    for seed in range(3):
        other = TWO.shuffled(seed)
        assert other.document_ids.equals(TWO.table.document_ids)
        assert other.kept.document.tolist() == TWO.table.kept.document.tolist()
        assert other.unsafe.document.tolist() == TWO.table.unsafe.document.tolist()


def test_table_leaves_out_other_splits_and_queries_without_positive():
    queries = pl.concat([queries_frame(["q1", "lonely"]), queries_frame(["held-out"], split="validation")])
    qrels = qrels_frame({"q1": ["a"], "held-out": ["b"]})
    table = table_of("en", queries, qrels, ledger_frame({"held-out": ["c"]}), topics_frame({"q1": 0}))
    assert table.query_ids.to_list() == ["q1"]


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


@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_table_does_not_depend_on_how_its_rows_come(rows, tmp_path):
    parts = (TWO.queries, TWO.qrels, TWO.ledger, topics_frame(TWO.topic))
    for folder in (None, tmp_path):
        table = table_of("en", *parts, rows=rows, folder=folder)
        assert table.query_ids.equals(TWO.table.query_ids)
        assert table.document_ids.equals(TWO.table.document_ids)
        for name in ("positives", "kept", "unsafe", "unsafe_positives"):
            assert getattr(table, name).start.tolist() == getattr(TWO.table, name).start.tolist()
            assert getattr(table, name).document.tolist() == getattr(TWO.table, name).document.tolist()


def test_table_holds_no_more_than_two_frames_of_the_ledger_at_a_time():
    language = plain_language("en", 20)
    alive: list[weakref.ref[pl.DataFrame]] = []

    def frames() -> Iterator[pl.DataFrame]:
        for frame in language.ledger.iter_slices(10):
            assert sum(one() is not None for one in alive[:-1]) == 0  # the last one is still the loop's
            alive.append(weakref.ref(frame))
            yield frame
            del frame

    table = build_table(
        "en",
        queries=[language.queries],
        qrels=[language.qrels],
        ledger=frames(),
        topics=topics_frame(language.topic),
        shelf=Shelf(None),
    )
    assert len(alive) == 20
    assert table.kept.length.tolist() == [10] * 20


def test_table_puts_away_integers_of_four_bytes(tmp_path):
    language = plain_language("en", 20)
    table = table_of(
        "en", language.queries, language.qrels, language.ledger, topics_frame(language.topic), folder=tmp_path
    )
    assert (tmp_path / "kept-document.npy").stat().st_size == 128 + 4 * 200
    assert {table.kept.document.dtype, table.unsafe.document.dtype} == {np.dtype(np.int32)}
