"""Folds, training pairs and scoring pairs."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.denoise.folds import fold_of, parallel_id, with_folds
from tasks.denoise.pairs import pairs_to_score, pairs_to_train, pairs_to_weigh, with_relevance, with_texts

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


def chosen(**changes: int) -> pl.DataFrame:
    settings = {
        "max_queries": 100,
        "max_judged_negatives": 4,
        "num_presumed": 3,
        "presumed_from_rank": 10,
        "presumed_to_rank": 20,
        "num_easy": 1,
        "seed": 0,
    }
    return pairs_to_train(CANDIDATES, QRELS, QUERY_IDS, **(settings | changes))


@given(st.lists(st.text(min_size=1), min_size=1, unique=True), st.integers(2, 5), st.integers(0, 9))
def test_fold_depends_on_the_id_alone(query_ids: list[str], num_folds: int, seed: int):
    together = with_folds(pl.DataFrame({"query_id": query_ids}), num_folds=num_folds, seed=seed)
    alone = [fold_of(query_id, num_folds=num_folds, seed=seed) for query_id in query_ids]
    assert together["fold"].to_list() == alone
    assert set(alone) <= set(range(num_folds))


def test_folds_are_of_like_size():
    folds = [fold_of(str(number), num_folds=3, seed=0) for number in range(3000)]
    assert all(900 < folds.count(fold) < 1100 for fold in range(3))


def test_parallel_questions_are_in_one_fold():
    assert parallel_id("atlas-sw-q0012") == parallel_id("atlas-fi-q0012") == "atlas--q0012"
    assert parallel_id("tydi-000507") == "tydi-000507"
    assert parallel_id("abc#de#1") != parallel_id("abc#de#2")
    folds = {fold_of(f"atlas-{language}-q0012", num_folds=97, seed=0) for language in ("en", "fi", "sw")}
    assert len(folds) == 1


def test_rejects_a_single_fold():
    with pytest.raises(ValueError, match="num_folds: expected 2 or more, got 1"):
        fold_of("q", num_folds=1, seed=0)


def test_training_pairs_are_of_four_kinds():
    kinds = chosen().group_by("kind").len().sort("kind").rows()
    assert kinds == [("easy", 10), ("judged", 10), ("positive", 10), ("presumed", 30)]


def test_presumed_negatives_are_unjudged_and_of_middling_rank():
    presumed = chosen(num_presumed=99).filter(pl.col("kind") == "presumed").join(CANDIDATES, on=["query_id", "doc_id"])
    assert presumed["rank"].min() == 10
    assert presumed["rank"].max() == 20
    assert 12 not in presumed["rank"]


def test_easy_negatives_are_positives_of_other_queries():
    easy = chosen(num_easy=2).filter(pl.col("kind") == "easy")
    assert len(easy) == 20
    assert all(doc.endswith("-1") and doc != f"d{query[1:]}-1" for query, doc in easy.select(*IDS).rows())


def test_labels_follow_the_kind_and_no_pair_occurs_twice():
    table = chosen()
    assert table.select(*IDS).is_unique().all()
    assert set(table.select("kind", "label").rows()) == {
        ("positive", 1),
        ("judged", 0),
        ("presumed", 0),
        ("easy", 0),
    }


def test_queries_without_relevant_document_or_beyond_the_limit_are_left_out():
    assert chosen()["query_id"].n_unique() == 10
    assert chosen(max_queries=4)["query_id"].n_unique() == 4


def test_draws_repeat_with_the_seed_whatever_the_order_of_rows():
    settings = {"max_queries": 5, "max_judged_negatives": 4, "num_presumed": 2, "presumed_from_rank": 10}
    settings |= {"presumed_to_rank": 20, "num_easy": 1, "seed": 3}
    shuffled = pairs_to_train(
        CANDIDATES.reverse(), QRELS.sample(fraction=1.0, shuffle=True, seed=1), QUERY_IDS.reverse(), **settings
    )
    assert shuffled.equals(chosen(**settings))
    assert not chosen(num_presumed=2, seed=4).equals(chosen(num_presumed=2, seed=3))


def test_scores_candidates_and_judged_documents_once_each():
    extra = pl.concat([QRELS, pl.DataFrame([("q0", "far", 1), ("x", "y", 1)], schema=QRELS.schema, orient="row")])
    table = pairs_to_score(CANDIDATES, extra, QUERY_IDS)
    assert len(table) == NUM_QUERIES * 30 + 1
    assert ("q0", "far") in table.rows()


def test_weighed_pairs_are_the_pools_and_the_training_pairs():
    trained = chosen(max_queries=2)
    table = pairs_to_weigh(CANDIDATES, QRELS, trained)
    assert table.filter(pl.col("label").is_not_null()).select(*IDS, "label").equals(trained.select(*IDS, "label"))
    easy = trained.filter(pl.col("kind") == "easy").select(*IDS)
    assert table.filter(~pl.col("in_pool")).select(*IDS).equals(easy)
    assert len(table) == 2 * 30 + len(easy)
    assert table.filter(pl.col("relevance") == 1)["label"].to_list() == [1, 1]


def test_relevance_comes_beside_judged_pairs_alone():
    pairs = pl.DataFrame([("q1", "d1-1"), ("q1", "d1-2"), ("q0", "d0-12")], schema=IDS, orient="row")
    assert with_relevance(pairs, QRELS)["relevance"].to_list() == [1, None, 0]


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
