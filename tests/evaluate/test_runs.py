"""Which ranked lists are evaluated."""

from urllib.parse import unquote

import ir_measures
import numpy as np
import polars as pl
import pytest

from tasks.evaluate.measure import measure_language
from tasks.evaluate.runs import cut_run, write_trec

CANDIDATES = pl.LazyFrame(
    {"query_id": ["q2", "q1", "q1"], "doc_id": ["c", "b", "a"], "rank": [1, 2, 1], "score": [3, 1, 2]}
)


def test_run_is_sorted_by_query_and_rank():
    run = cut_run(CANDIDATES, system="bm25", depth=10)
    assert run.select("system", "query_id", "doc_id", "rank").rows() == [
        ("bm25", "q1", "a", 1),
        ("bm25", "q1", "b", 2),
        ("bm25", "q2", "c", 1),
    ]


def test_cuts_at_the_depth():
    assert cut_run(CANDIDATES, system="bm25", depth=1).height == 2


def test_writes_a_trec_file(tmp_path):
    write_trec(cut_run(CANDIDATES, system="bm25", depth=1), tmp_path / "run")
    assert (tmp_path / "run").read_text() == "q1 Q0 a 1 2.0 bm25\nq2 Q0 c 1 3.0 bm25\n"


def written(tmp_path, *rows):
    """Write ranked lists (query, document, score), and return the file and what is in it."""
    run = pl.DataFrame(rows, schema={"query_id": pl.String, "doc_id": pl.String, "score": pl.Float32}, orient="row")
    rank = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("query_id")
    run = run.select(pl.lit("bm25").alias("system"), "query_id", "doc_id", rank.alias("rank"), "score")
    write_trec(run, tmp_path / "run")
    return run, [line.split() for line in (tmp_path / "run").read_text().splitlines()]


@pytest.mark.parametrize("score", [1.0, 0.0, -0.0, -3.5, 1e-45, 3.0e38])
def test_equal_scores_fall_with_the_rank(tmp_path, score):
    _, lines = written(tmp_path, ("q", "a", score), ("q", "b", score), ("q", "c", score), ("r", "a", score))
    scores = [np.float32(line[4]) for line in lines]  # as trec_eval reads them
    assert scores[0] == scores[3] == np.float32(score)
    assert scores[0] > scores[1] > scores[2]
    assert scores[2] == np.nextafter(scores[1], np.float32("-inf"))
    assert [line[2:4] for line in lines[:3]] == [["a", "1"], ["b", "2"], ["c", "3"]]


def test_scores_that_fall_are_written_as_they_are(tmp_path):
    tie = np.float32(0.7)
    _, lines = written(tmp_path, ("q", "a", 0.9), ("q", "b", tie), ("q", "c", tie), ("q", "d", -0.1), ("q", "e", -0.2))
    scores = [np.float32(line[4]) for line in lines]
    below = np.nextafter(tie, np.float32(0))
    assert scores == [np.float32(0.9), tie, below, np.float32(-0.1), np.float32(-0.2)]


def test_trec_eval_measures_the_file_as_we_measure_the_run(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        (f"q{query}", f"d{document:02}", score)
        for query in range(30)
        for document, score in enumerate(sorted(rng.integers(-2, 3, 20) / 3, reverse=True))
    ]
    run, _ = written(tmp_path, *rows)
    qrels = pl.DataFrame(
        {"query_id": [f"q{n % 30}" for n in range(90)], "doc_id": [f"d{n % 23:02}" for n in range(90)]}
    )
    qrels = qrels.with_columns(relevance=pl.lit(1))
    ours = measure_language(run, qrels, metrics=["nDCG@10"])
    judged = [ir_measures.Qrel(*row) for row in qrels.iter_rows()]
    theirs = ir_measures.iter_calc([ir_measures.nDCG @ 10], judged, ir_measures.read_trec_run(str(tmp_path / "run")))
    assert dict(ours.select("query_id", "value").iter_rows()) == {one.query_id: one.value for one in theirs}


IDS = ("New York City", "New%20York City", "q\u00a01", "a\tb", "a\u2028b", "\u3000", "http://x/%C3%A9", "100%", "plain")


def test_ids_with_white_space_are_one_field_and_come_back(tmp_path):
    _, lines = written(tmp_path, *((one, f"{one} {one}", 1.0) for one in IDS))
    assert [len(line) for line in lines] == [6] * len(IDS)
    assert [(unquote(line[0]), unquote(line[2])) for line in lines] == [(one, f"{one} {one}") for one in IDS]
    assert lines[0][0] == "New%20York%20City"
    assert [line[0] for line in lines[-2:]] == ["100%", "plain"]


def test_writes_a_file_where_nothing_was_found(tmp_path):
    assert written(tmp_path)[1] == []
