"""The fitted judge: it learns what answers, per fold, and repeats itself."""

from collections.abc import Iterable

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.denoise.judge_model import NUM_FOLDS, fit_fold, fold_queries, score_pairs
from tasks.denoise.judge_model import with_relative as with_folds

PER_QUERY = 6


def made(num_queries: int, *, seed: int) -> pl.DataFrame:
    """Pairs whose cosine, beside a part that is the query's own, and whose reference tell something of the label."""
    draw = np.random.default_rng(seed)
    count = num_queries * PER_QUERY
    label_N = (np.arange(count) % PER_QUERY == 0).astype(np.int32)
    of_query_N = np.repeat(draw.normal(size=num_queries), PER_QUERY)
    columns = {
        "cosine": of_query_N + label_N + 0.5 * draw.normal(size=count),
        "shared_wording": 0.5 * label_N + draw.normal(size=count),
        "reference_cosine": label_N + draw.normal(size=count),
    }
    ids = {
        "query_id": [f"q{n // PER_QUERY}" for n in range(count)],
        "doc_id": [f"d{n % PER_QUERY}" for n in range(count)],
    }
    return pl.DataFrame({**ids, **columns, "label": label_N}).with_columns(pl.col(*columns).cast(pl.Float32))


def folds(query_ids: Iterable[str]) -> pl.DataFrame:
    """A group for each query."""
    names = sorted(set(query_ids))
    columns = {"language": ["en"] * len(names), "query_id": names, "group": names}
    return fold_queries(pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)))


def fold_of(query_id: str) -> int:
    return int(folds([query_id])["fold"][0])


def with_relative(features: pl.DataFrame, pool: pl.DataFrame) -> pl.DataFrame:
    return with_folds(features, pool, folds(features["query_id"]))


def fitted(pairs: pl.DataFrame) -> pl.DataFrame:
    table = with_relative(pairs, pairs)
    return pl.concat([fit_fold(table, fold) for fold in range(NUM_FOLDS)])


def won(raw: pl.Series, label: pl.Series) -> float:
    """Share of pairs of a relevant and another that are in order."""
    positive, negative = raw.filter(label > 0).to_numpy(), raw.filter(label == 0).to_numpy()
    return float((positive[:, None] > negative[None]).mean())


def test_learns_what_answers_beside_what_is_the_query_s_own():
    pairs = made(120, seed=0).sort("query_id", "doc_id")
    scores = score_pairs(with_relative(pairs, pairs), fitted(pairs))
    assert scores.select("query_id", "doc_id").equals(pairs.select("query_id", "doc_id"))
    assert won(scores["raw"], pairs["label"]) > won(pairs["cosine"], pairs["label"]) + 0.1


def test_the_reference_counts_though_nothing_is_learnt_of_it():
    pairs = made(120, seed=0).sort("query_id", "doc_id")
    nothing = pairs.with_columns(reference_cosine=pl.lit(None, dtype=pl.Float32))
    model = fitted(pairs)
    with_reference, without = (score_pairs(with_relative(one, one), model) for one in (pairs, nothing))
    assert won(with_reference["raw"], pairs["label"]) > won(without["raw"], pairs["label"])
    assert without["without_reference"].all()
    assert not with_reference["without_reference"].any()


def test_same_pairs_give_the_same_weights_whatever_their_order():
    pairs = made(30, seed=0)
    assert fitted(pairs).equals(fitted(pairs))
    shuffled = fitted(pairs.sample(fraction=1.0, shuffle=True, seed=1))
    assert shuffled["weight"].to_list() == pytest.approx(fitted(pairs)["weight"].to_list())


def test_a_fold_s_judge_sees_no_query_of_the_fold():
    pairs = made(30, seed=0)
    fold = fold_of("q3")
    other = pairs.with_columns(label=pl.when(pl.col("query_id") == "q3").then(1 - pl.col("label")).otherwise("label"))
    one, two = fitted(pairs), fitted(other)
    same = [one.filter(pl.col("fold") == n).equals(two.filter(pl.col("fold") == n)) for n in range(NUM_FOLDS)]
    assert same == [n == fold for n in range(NUM_FOLDS)]
    scores = score_pairs(with_relative(pairs, pairs), one)
    assert set(scores.filter(pl.col("query_id") == "q3")["judge"]) == {f"fold-{fold}"}


def test_later_pairs_are_scored_in_the_pool_and_leave_it_as_it_is():
    pairs = made(30, seed=0)
    model = fitted(pairs)
    later = pairs.filter(pl.col("doc_id") == "d1").with_columns(
        doc_id=pl.lit("new"), cosine=pl.lit(9.0).cast(pl.Float32)
    )
    known = score_pairs(with_relative(pairs, pairs), model).filter(pl.col("query_id") == "q3")
    twin = pairs.filter(pl.col("doc_id") == "d1").with_columns(doc_id=pl.lit("twin"))
    scores = score_pairs(with_relative(pl.concat([later, twin]), pairs), model).filter(pl.col("query_id") == "q3")
    assert scores["doc_id"].to_list() == ["new", "twin"]
    assert scores["raw"][1] == known.filter(pl.col("doc_id") == "d1")["raw"][0]


def test_scores_do_not_depend_on_other_queries():
    pairs = made(30, seed=0)
    model = fitted(pairs)
    own = pairs.filter(pl.col("query_id") == "q3")
    alone = score_pairs(with_relative(own, own), model)
    assert alone.equals(score_pairs(with_relative(pairs, pairs), model).filter(pl.col("query_id") == "q3"))
    nothing = own.clear()
    assert score_pairs(with_relative(nothing, nothing), model).is_empty()


@pytest.mark.parametrize("label", [0, 1])
def test_rejects_pairs_of_one_label(label: int):
    pairs = with_relative(made(5, seed=0), made(5, seed=0)).with_columns(label=pl.lit(label), fold=pl.lit(1))
    got = rf"got {30 * label} relevant of 30 outside a fold \(queries that share an answer or a text share a fold\)"
    with pytest.raises(ValueError, match=f"expected relevant and non-relevant pairs, {got}"):
        fit_fold(pairs, 0)


@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_fold_depends_on_the_group_s_name_alone(names: list[str]):
    table = folds(names)
    assert table["fold"].to_list() == [fold_of(name) for name in table["query_id"]]
    assert set(table["fold"]) <= set(range(NUM_FOLDS))


def test_folds_are_of_like_size():
    sizes = folds(map(str, range(5000)))["fold"].to_list()
    assert all(900 < sizes.count(fold) < 1100 for fold in range(NUM_FOLDS))
