"""Which ranked lists are evaluated."""

import polars as pl

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
