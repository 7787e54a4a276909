"""Measures by hand."""

import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tasks.evaluate.measure import measure_language, parse_measures, repeated_queries, summarise

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


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("MRR@10", ["RR@10"]),
        ("MAP", ["AP"]),
        ("Recall@100", ["R@100"]),
        ("nDCG(cutoff=10)", ["nDCG@10"]),
        (" nDCG@10 ", ["nDCG@10"]),
        ("ndcg_cut_10", ["nDCG@10"]),
        ("recall.5,100", ["R@5", "R@100"]),
        ("recip_rank", ["RR"]),
        ("IPrec@0.1", ["IPrec@0.1"]),
        ("nDCG(gains={1: 3})@10", ["nDCG(gains={1:3})@10"]),
        ("NumRelRet", ["NumRet(rel=1)"]),
    ],
)
def test_measures_are_read_in_every_spelling_and_shown_in_one(name, shown):
    assert [str(measure) for measure in parse_measures([name])] == shown
    assert [str(measure) for measure in parse_measures(shown)] == shown
    found = measure_language(run_of(q1=["a"]), qrels_of(q1={"a": 1}), metrics=[name])
    assert found["metric"].to_list() == shown


def test_measure_that_is_named_twice_is_measured_once():
    assert [str(measure) for measure in parse_measures(["RR@10", "MRR@10", "AP"])] == ["RR@10", "AP"]


@pytest.mark.skipif(not shutil.which("perl"), reason="gdeval is a perl program")
def test_ids_of_any_kind_reach_programs_that_read_files():
    run, qrels = run_of(**{"q 1-2": ["New York", "b"]}), qrels_of(**{"q 1-2": {"New York": 1}, "z": {"c": 1}})
    found = measure_language(run, qrels, metrics=["ERR@10"])
    assert found.rows() == [("ERR@10", "q 1-2", pytest.approx(1 / 16)), ("ERR@10", "z", 0.0)]


def test_grades_count_from_the_threshold_and_the_name_says_so():
    run, qrels = run_of(q1=["a", "b", "c"]), qrels_of(q1={"a": 1, "b": 2, "c": -1, "d": 3})
    found = measure_language(run, qrels, metrics=["R@100", "nDCG@10", "P(rel=3)@2"], relevant_from=2)
    assert found["metric"].to_list() == ["R(rel=2)@100", "nDCG@10", "P(rel=3)@2"]
    gained, best = 1 + 2 / math.log2(3), 3 + 2 / math.log2(3) + 1 / 2
    assert found["value"].to_list() == [0.5, pytest.approx(gained / best), 0.0]


def test_judgement_below_zero_is_not_unjudged():
    run, zero, below = run_of(q1=["x", "a"]), qrels_of(q1={"x": 0, "a": 1}), qrels_of(q1={"x": -1, "a": 1})
    names = ["Bpref", "Judged@2", "nDCG@10", "AP"]
    assert measure_language(run, below, metrics=names).equals(measure_language(run, zero, metrics=names))


def test_query_whose_relevant_document_is_not_in_the_corpus_counts_as_zero():
    judged = qrels_of(q1={"a": 1}, q2={"gone": 1}, q3={"gone": 1})
    found = measure_language(run_of(q1=["a"], q2=["a", "b"]), judged, metrics=["R@100"])
    means = summarise({"en": found.with_columns(is_new=True)}, system="bm25")
    assert means.filter(pl.col("query_id") == "all").select("language", "value", "num_queries").rows() == [
        ("all", pytest.approx(1 / 3), 3),
        ("en", pytest.approx(1 / 3), 3),
    ]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("nDCG@0", "the cut-off is 0"),
        ("nDCG@10.0", "the cut-off is 10.0"),
        ("ndcg_cut_0", "the cut-off is 0"),
        ("P", "it needs cutoff"),
        ("nDGC@10", "Did you mean nDCG?"),
        ("recal@10", "Did you mean R?"),
        ("RBP", "Unsupported"),
        ("P(rel=0)@5", "should be positive"),
        ("nonsense", "measure nonsense"),
    ],
)
def test_refuses_a_measure_that_cannot_be_computed_and_says_why(name, advice):
    with pytest.raises(ValueError, match=re.escape(advice)):
        parse_measures([name])


@pytest.mark.parametrize("name", ["goodness@7", "nDCG@x", "nDCG(10)", "1 + 1", ""])
def test_rejects_an_unknown_measure(name):
    with pytest.raises(ValueError, match=re.escape(f"expected measures such as nDCG@10 or R@100, got '{name}'")):
        measure_language(run_of(q1=["a"]), qrels_of(q1={"a": 1}), metrics=[name])


def test_rejects_a_split_without_judgements():
    with pytest.raises(ValueError, match="expected judgements of the evaluated split, got none"):
        measure_language(run_of(q1=["a"]), qrels_of(q1={"a": 1}).head(0), metrics=["nDCG@10"])
