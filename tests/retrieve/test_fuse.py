"""Fusion by hand."""

import math

import polars as pl
import pytest

from tasks.retrieve.fuse import fuse_candidates

SETTINGS = {"method": "z_score", "standardise": "query", "weights": {}, "top_k": 40}


def candidates(*rows: tuple[str, str, str, int, float]) -> pl.DataFrame:
    schema = {"query_id": pl.String, "doc_id": pl.String, "system": pl.String, "rank": pl.Int32, "score": pl.Float32}
    return pl.DataFrame(rows, schema=schema, orient="row")


# x has mean 2 and deviation 1 over q; y has mean 15 and deviation 5
TWO = candidates(
    ("q", "a", "x", 1, 3.0), ("q", "b", "x", 2, 1.0), ("q", "c", "y", 1, 20.0), ("q", "b", "y", 2, 10.0)
)  # fmt: skip


def fuse(frame: pl.DataFrame, **settings) -> pl.DataFrame:
    return fuse_candidates(frame, **SETTINGS | settings)


def scores(fused: pl.DataFrame) -> list[tuple[str, float]]:
    return fused.select("doc_id", "score").rows()


def test_sums_standardised_scores_and_gives_the_lowest_where_not_returned():
    # a: 1 - 1, b: -1 - 1, c: -1 + 1; a before c by doc_id
    assert scores(fuse(TWO)) == [("a", 0.0), ("c", 0.0), ("b", -2.0)]


def test_weights_multiply_a_systems_part():
    assert scores(fuse(TWO, weights={"y": 2.0})) == [("c", 1.0), ("a", -1.0), ("b", -3.0)]


def test_keeps_rank_and_score_of_each_system_by_name():
    fused = fuse(TWO)
    assert fused["rank"].to_list() == [1, 2, 3]
    assert fused.row(1, named=True)["systems"] == [
        {"system": "x", "rank": None, "score": None},
        {"system": "y", "rank": 1, "score": 20.0},
    ]
    systems = pl.List(pl.Struct({"system": pl.String, "rank": pl.Int32, "score": pl.Float32}))
    assert fused.schema == {
        "query_id": pl.String, "doc_id": pl.String, "rank": pl.Int32, "score": pl.Float32, "systems": systems,
    }  # fmt: skip


def test_language_standardises_over_all_queries():
    frame = candidates(
        ("q1", "a", "x", 1, 4.0), ("q1", "b", "x", 2, 2.0), ("q2", "a", "x", 1, 2.0), ("q2", "b", "x", 2, 0.0)
    )
    # mean 2, deviation sqrt(2)
    by_language = fuse(frame, standardise="language")["score"].to_list()
    assert by_language == pytest.approx([math.sqrt(2), 0.0, 0.0, -math.sqrt(2)])
    assert fuse(frame)["score"].to_list() == [1.0, -1.0, 1.0, -1.0]


def test_a_system_with_equal_scores_or_none_for_the_query_says_nothing():
    frame = pl.concat(
        [
            TWO.filter(pl.col("system") == "x"),
            candidates(
                ("q", "a", "z", 1, 0.1), ("q", "b", "z", 2, 0.1), ("q", "d", "z", 3, 0.1), ("r", "a", "y", 1, 5.0)
            ),
        ]
    )
    assert scores(fuse(frame).filter(pl.col("query_id") == "q")) == [("a", 1.0), ("b", -1.0), ("d", -1.0)]


def test_reciprocal_ranks_by_hand():
    fused = fuse(TWO, method="rrf", weights={"x": 0.5})
    assert fused["doc_id"].to_list() == ["b", "c", "a"]
    assert fused["score"].to_list() == pytest.approx([1.5 / 62, 1 / 61, 0.5 / 61])


def test_top_k_cuts_each_query_after_ties_are_broken_by_doc_id():
    frame = candidates(*[(query, doc_id, "x", 1, 1.0) for query in "qr" for doc_id in ("c", "a", "b")])
    assert fuse(frame, top_k=2).select("query_id", "doc_id", "rank").rows() == [
        ("q", "a", 1), ("q", "b", 2), ("r", "a", 1), ("r", "b", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("method", ["z_score", "rrf"])
def test_row_order_does_not_matter(method):
    frame = candidates(
        *[
            (f"q{query}", f"d{doc}", system, 1 + (doc * 3 + query) % 11, math.sin(doc * 7 + query * 3 + len(system)))
            for query in range(4)
            for doc in range(11)
            for system in ("bm25", "e5", "sparse")
            if (doc + query) % 3
        ]
    )
    expected = fuse(frame, method=method, standardise="language")
    for seed in range(3):
        shuffled = frame.sample(fraction=1.0, shuffle=True, seed=seed)
        assert fuse(shuffled, method=method, standardise="language").equals(expected)


def test_no_candidates_give_an_empty_table():
    for method in ("z_score", "rrf"):
        fused = fuse(TWO[:0], method=method, weights={"x": 1.0})
        assert fused.schema == fuse(TWO).schema
        assert fused.is_empty()


def test_unknown_method_is_an_error():
    with pytest.raises(ValueError, match="expected method z_score or rrf .* got 'sum' and 'query'"):
        fuse(TWO, method="sum")


def test_weight_for_a_system_that_found_nothing_has_no_effect():
    assert fuse(TWO, weights={"bm25": 2.0}).equals(fuse(TWO))
