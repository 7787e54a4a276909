"""Which pairs are scored, and which a judge learns from."""

import polars as pl
import pytest

from tasks.denoise import pairs as module
from tasks.denoise.pairs import label_pairs, pairs_to_score, with_texts

IDS = {"query_id": pl.String, "doc_id": pl.String}
NUM_QUERIES = 12
QUERY_IDS = pl.Series([f"q{number}" for number in range(NUM_QUERIES)])
CANDIDATES = pl.DataFrame(
    [(f"q{query}", f"d{query}-{rank}", rank) for query in range(NUM_QUERIES) for rank in range(1, 31)],
    schema={**IDS, "rank": pl.Int32},
    orient="row",
)
QRELS = pl.DataFrame(
    [(f"q{query}", f"d{query}-{rank}", relevance) for query in range(10) for rank, relevance in ((1, 1), (12, 0))],
    schema={**IDS, "relevance": pl.Int32},
    orient="row",
)  # q10 and q11 have no judgement


def chosen(qrels: pl.DataFrame = QRELS, ranks: tuple[int, int] = (10, 20)) -> pl.DataFrame:
    every = pairs_to_score(CANDIDATES, qrels, QUERY_IDS)
    return label_pairs(every, CANDIDATES, qrels, presumed_ranks=ranks)


def test_a_judge_learns_from_what_people_judged_and_from_presumed_negatives():
    table = chosen().join(QRELS, on=["query_id", "doc_id"], how="left")
    kinds = table.group_by("relevance", "label").len().sort("relevance", "label").rows()
    assert kinds == [(None, 0, 20), (0, 0, 10), (1, 1, 10)]
    assert table.select("query_id", "doc_id").is_unique().all()


def test_presumed_negatives_are_unjudged_and_of_middling_rank():
    presumed = chosen().join(QRELS, on=["query_id", "doc_id"], how="anti").join(CANDIDATES, on=["query_id", "doc_id"])
    assert presumed["rank"].is_between(10, 20).all()
    assert 12 not in presumed["rank"]
    assert presumed["rank"].n_unique() > 2  # drawn, not the first ones


def test_a_relevance_below_zero_is_a_judged_negative():
    below = QRELS.with_columns(relevance=pl.when(pl.col("relevance") == 0).then(-1).otherwise("relevance"))
    assert chosen(qrels=below.cast({"relevance": pl.Int32})).equals(chosen())


def test_queries_without_relevant_document_or_beyond_the_limit_are_left_out(monkeypatch: pytest.MonkeyPatch):
    assert chosen()["query_id"].n_unique() == 10
    monkeypatch.setattr(module, "_MAX_QUERIES", 4)
    assert chosen()["query_id"].n_unique() == 4


def test_draws_do_not_depend_on_the_order_of_rows_or_on_other_queries():
    every = pairs_to_score(CANDIDATES, QRELS, QUERY_IDS)
    shuffled = QRELS.sample(fraction=1.0, shuffle=True, seed=1)
    assert label_pairs(every.reverse(), CANDIDATES.reverse(), shuffled, presumed_ranks=(10, 20)).equals(chosen())
    own = every.filter(pl.col("query_id") == "q3")
    alone = label_pairs(own, CANDIDATES, QRELS, presumed_ranks=(10, 20))
    assert alone.equals(chosen().filter(pl.col("query_id") == "q3"))


def test_scores_candidates_and_judged_documents_once_each():
    extra = pl.concat([QRELS, pl.DataFrame([("q0", "far", 1), ("x", "y", 1)], schema=QRELS.schema, orient="row")])
    table = pairs_to_score(CANDIDATES, extra, QUERY_IDS)
    assert len(table) == NUM_QUERIES * 30 + 1
    assert ("q0", "far") in table.rows()


def test_texts_come_beside_their_pairs():
    pairs = pl.DataFrame([("q", "d")], schema=IDS, orient="row")
    queries, documents = (
        pl.DataFrame({"query_id": ["q"], "text": ["?"]}),
        pl.DataFrame({"doc_id": ["d"], "text": ["!"]}),
    )
    assert with_texts(pairs, queries, documents).rows() == [("q", "d", "?", "!")]


def test_rejects_pair_without_text():
    pairs = pl.DataFrame([("q", "d")], schema=IDS, orient="row")
    with pytest.raises(ValueError, match=r"got none for 1 pairs such as \('q', 'd'\)"):
        with_texts(
            pairs,
            pl.DataFrame({"query_id": ["q"], "text": ["?"]}),
            pl.DataFrame(schema={"doc_id": pl.String, "text": pl.String}),
        )
