"""Measures by hand."""

import math
import re
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tasks.evaluate.measure import measure_language, repeated_queries, summarise

REPOSITORY = Path(__file__).parents[2]


def run_of(**ranked):
    rows = [(query, doc, rank) for query, docs in ranked.items() for rank, doc in enumerate(docs, 1)]
    return pl.DataFrame(rows, schema=["query_id", "doc_id", "rank"], orient="row")


def qrels_of(**relevant):
    rows = [(query, doc, relevance) for query, docs in relevant.items() for doc, relevance in docs.items()]
    return pl.DataFrame(rows, schema=["query_id", "doc_id", "relevance"], orient="row")


def values(frame, metric):
    return dict(frame.filter(pl.col("metric") == metric).select("query_id", "value").iter_rows())


def test_ndcg_and_recall_by_hand():
    found = measure_language(
        run_of(q1=["x", "a", "b"]), qrels_of(q1={"a": 1, "b": 1, "c": 1, "x": 0}), metrics=["nDCG@10", "R@100"]
    )
    gained = 1 / math.log2(3) + 1 / math.log2(4)
    best = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert values(found, "nDCG@10")["q1"] == pytest.approx(gained / best)
    assert values(found, "R@100")["q1"] == pytest.approx(2 / 3)


def test_negative_relevance_is_no_gain_and_no_loss():
    found = measure_language(run_of(q1=["x", "a", "y"]), qrels_of(q1={"x": -1, "a": 1, "y": -2}), metrics=["nDCG@10"])
    assert values(found, "nDCG@10")["q1"] == pytest.approx(1 / math.log2(3))
    nothing = measure_language(run_of(q1=["x"]), qrels_of(q1={"x": -1}), metrics=["nDCG@10"])
    assert values(nothing, "nDCG@10") == {"q1": 0.0}


def test_query_without_an_answer_counts_as_zero():
    found = measure_language(run_of(q1=["a"]), qrels_of(q1={"a": 1}, q2={"a": 1}), metrics=["nDCG@10"])
    assert values(found, "nDCG@10") == {"q1": 1.0, "q2": 0.0}


def test_rank_decides_where_scores_tie():
    judged = qrels_of(q1={"b": 1})
    assert values(measure_language(run_of(q1=["a", "b"]), judged, metrics=["nDCG@10"]), "nDCG@10")["q1"] < 1
    assert values(measure_language(run_of(q1=["b", "a"]), judged, metrics=["nDCG@10"]), "nDCG@10")["q1"] == 1


def test_documents_below_the_cut_do_not_count():
    run = run_of(q1=[str(number) for number in range(10)] + ["a"])
    assert values(measure_language(run, qrels_of(q1={"a": 1}), metrics=["nDCG@10"]), "nDCG@10")["q1"] == 0


def test_mean_over_languages_is_plain_whatever_their_sizes():
    many = measure_language(
        run_of(q1=["a"], q2=["a"], q3=["a"]), qrels_of(q1={"a": 1}, q2={"a": 1}, q3={"a": 1}), metrics=["nDCG@10"]
    )
    one = measure_language(run_of(q1=["x"]), qrels_of(q1={"a": 1}), metrics=["nDCG@10"])
    parts = {"sw": one.with_columns(is_new=True), "en": many.with_columns(is_new=True)}
    means = summarise(parts, system="bm25").filter(pl.col("query_id") == "all")
    assert means.select("language", "value", "num_queries").rows() == [("all", 0.5, 4), ("en", 1.0, 3), ("sw", 0.0, 1)]


def test_means_are_given_with_and_without_queries_that_train_repeats():
    found = {
        "en": measured(q1=(1.0, True), q2=(0.0, False)),
        "sw": measured(q3=(0.4, False)),
        "fi": measured(q4=(0.5, True), q5=(0.1, True)),
    }
    means = summarise(found, system="bm25").filter(pl.col("query_id") == "all")
    assert means.select("language", "value", "num_queries", "new_value", "num_new").rows() == [
        ("all", pytest.approx((0.5 + 0.3 + 0.4) / 3), 5, pytest.approx((1.0 + 0.3) / 2), 3),
        ("en", 0.5, 2, 1.0, 1),
        ("fi", pytest.approx(0.3), 2, pytest.approx(0.3), 2),
        ("sw", 0.4, 1, None, 0),
    ]


def measured(**values):
    rows = [("nDCG@10", query, *row) for query, row in values.items()]
    return pl.DataFrame(rows, schema=["metric", "query_id", "value", "is_new"], orient="row")


def test_repeated_queries_are_those_whose_text_a_train_query_has():
    dev = pl.DataFrame({"query_id": ["d2", "d1", "d3"], "text": ["Wer  war\u2003es?", "Cafe\u0301", "Anders"]})
    train = pl.DataFrame({"query_id": ["t1", "t2", "t3"], "text": [" wer war es?", "wer war es?", "CAF\u00c9"]})
    assert repeated_queries(dev, train).to_list() == ["d1", "d2"]
    assert repeated_queries(dev, train.clear()).to_list() == []


def test_measures_with_arguments_come_in_the_given_order():
    found = measure_language(run_of(q1=["x", "a"]), qrels_of(q1={"a": 1}), metrics=["P(rel=1)@2", "AP", "nDCG@10"])
    assert found["metric"].to_list() == ["P@2", "AP", "nDCG@10"]  # rel=1 is the default
    assert found["value"].to_list()[:2] == [0.5, 0.5]


def test_measure_needs_no_pandas():
    code = "import sys; sys.modules['pandas'] = None; from tasks.evaluate import measure; import polars as pl; "
    frames = "pl.DataFrame({'query_id': ['q'], 'doc_id': ['d'], 'rank': [1]}), pl.DataFrame({'query_id': ['q'], "
    frames += "'doc_id': ['d'], 'relevance': [1]})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}print(measure.measure_language({frames}, metrics=['AP'])['value'][0])"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "1.0", done.stderr


@pytest.mark.parametrize("name", ["goodness@7", "nDCG@x", "nDCG(10)", "1 + 1", ""])
def test_rejects_an_unknown_measure(name):
    with pytest.raises(ValueError, match=re.escape(f"expected measures such as nDCG@10 or R@100, got '{name}'")):
        measure_language(run_of(q1=["a"]), qrels_of(q1={"a": 1}), metrics=[name])


def test_rejects_a_split_without_judgements():
    with pytest.raises(ValueError, match="expected judgements of the evaluated split, got none"):
        measure_language(run_of(q1=["a"]), qrels_of(q1={"a": 1}).head(0), metrics=["nDCG@10"])
