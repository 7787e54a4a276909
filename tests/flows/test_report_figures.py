"""What a report says, from small frames with values worked out by hand."""

import re

import numpy as np
import polars as pl
import pytest

from flows.show.report import cost, examples, faults, mining, pictures, results, training
from storage.runs import Run, RunDataset
from tasks.denoise import select

QRELS = pl.LazyFrame(
    {"language": ["sw"] * 3, "query_id": ["q1", "q1", "q2"], "doc_id": ["a", "b", "c"], "relevance": [1, 0, 1]}
)


def metrics(values: dict[str, list[float]]) -> pl.DataFrame:
    rows = [(lang, f"q{number}", value) for lang, some in values.items() for number, value in enumerate(some)]
    frame = pl.DataFrame(rows, schema=["language", "query_id", "value"], orient="row")
    return frame.with_columns(metric=pl.lit("nDCG@10"))


BM25 = {"fi": [0.1, 0.2, 0.3, 0.2], "sw": [0.5, 0.5, 0.5, 0.5]}


def test_results_compare_query_by_query_and_each_language_counts_alike():
    better = {"fi": [0.6, 0.6, 0.8, 0.8], "sw": [0.5, 0.4, 0.5, 0.5]}
    (table,) = results.results({"bm25": metrics(BM25), "trained": metrics(better)}).values()
    fi, sw, overall = table
    assert [row["language"] for row in table] == ["fi", "sw", "all"]
    assert fi["systems"]["bm25"]["value"] == pytest.approx(0.2)
    pair = fi["pairs"]["trained", "bm25"]
    # mean .5, deviation .0816; t of 3 degrees of freedom at 97.5 % is 3.182
    assert (pair["value"], pair["low"], pair["high"]) == pytest.approx((0.5, 0.5 - 0.1299, 0.5 + 0.1299), abs=1e-3)
    assert (pair["wins"], pair["ties"], pair["losses"]) == (4, 0, 0)
    pair = sw["pairs"]["trained", "bm25"]
    assert (pair["wins"], pair["ties"], pair["losses"]) == (0, 3, 1)
    assert overall["pairs"]["trained", "bm25"]["value"] == pytest.approx((0.5 - 0.025) / 2)
    assert results.is_sure(fi["pairs"]["trained", "bm25"])
    assert not results.is_sure(sw["pairs"]["trained", "bm25"])


def test_verdict_counts_languages_won_and_says_what_may_be_chance():
    better = {"fi": [0.6, 0.6, 0.8, 0.8], "sw": [0.5, 0.4, 0.5, 0.5]}
    table = results.results({"bm25": metrics(BM25), "trained": metrics(better)})
    text = results.verdict(table)
    assert text.startswith("Trained beats BM25 in 1 of 2 languages (1 beyond chance), mean nDCG@10 +.237 [.")
    same = results.verdict(results.results({"bm25": metrics(BM25), "trained": metrics(BM25)}))
    assert same == "Trained beats BM25 in none of 2 languages, mean nDCG@10 +.000 [.000, .000], which may be chance."
    worse = results.verdict(results.results({"bm25": metrics(better), "trained": metrics(BM25)}))
    assert worse.startswith("Trained loses to BM25 in 1 of 2 languages (1 beyond chance), mean nDCG@10 −.237 [−.")
    assert "nothing to compare" in results.verdict(results.results({"bm25": metrics(BM25)}))


def test_holes_are_the_unjudged_of_the_first_ten():
    run = pl.LazyFrame({"language": "sw", "query_id": "q1", "doc_id": ["a", "b", "x", "y"], "rank": [1, 2, 10, 11]})
    other = pl.LazyFrame(
        {"language": ["fi"], "query_id": ["q1"], "doc_id": ["a"], "rank": [1]}, schema=run.collect_schema()
    )
    found = results.holes(pl.concat([run, other]), QRELS)
    assert found == {"fi": 1.0, "sw": pytest.approx(1 / 3), "all": pytest.approx(2 / 3)}
    assert results.holes(run.clear(), QRELS) == {}


def test_systems_are_compared_with_the_run_before_on_the_same_queries():
    better = {"fi": [0.6, 0.6, 0.8, 0.8], "sw": [0.5, 0.4, 0.5, 0.5]}
    now, before = {"bm25": metrics(BM25), "trained": metrics(better)}, {"bm25": metrics(BM25), "trained": metrics(BM25)}
    found = results.since(now, before, "nDCG@10")
    assert list(found) == [(language, system) for system in ("bm25", "trained") for language in ("fi", "sw", "all")]
    pair = found["fi", "trained"]
    assert (pair["value"], pair["low"]) == (pytest.approx(0.5), pytest.approx(0.5 - 0.1299, abs=1e-3))
    assert pair["p_holm"] == pytest.approx(2 * pair["p"])  # the second of three: nothing of bm25 varies
    assert found["fi", "bm25"]["p"] is None
    fewer = {"trained": metrics({"fi": BM25["fi"], "sw": BM25["sw"][1:]})}
    assert list(results.since(now, fewer, "nDCG@10")) == [("fi", "trained")]
    assert results.since(now, {"trained": metrics({"te": [0.1, 0.2]})}, "nDCG@10") == {}


@pytest.mark.parametrize(("value", "text"), [(0.0314, "+.031"), (-0.002, "−.002"), (-0.0001, "+.000"), (1.0, "+1.000")])
def test_differences_are_written_as_the_field_does(value, text):
    assert results.signed(value) == text


LEDGER = pl.LazyFrame(
    [
        ("q1", "a", 1, "dropped", "judged_relevant", None, 1, "given", 0.9),
        ("q1", "b", 2, "kept", "judged_not_relevant", 1, 0, "given", 0.5),
        ("q1", "x", 3, "dropped", "grade_above_max", None, None, "given", 0.8),
        ("q1", "y", 4, "dropped", "grade_above_max", None, None, "generated", 0.7),
        ("q2", "z", 1, "dropped", "beyond_num_negatives", None, None, "given", 0.1),
    ],
    schema=["query_id", "doc_id", "rank", "decision", "reason", "hardness", "relevance", "origin", "probability"],
    orient="row",
).with_columns(language=pl.lit("sw"), fused_score=pl.col("rank"), grade=pl.lit(0))


def test_funnel_counts_what_became_of_each_candidate():
    (row,) = mining.funnel(LEDGER)
    assert row["reasons"] == {"grade_above_max": 2, "judged_relevant": 1, "beyond_num_negatives": 1}
    counts = {"candidates": 5, "judged": 2, "kept": 1, "dropped": 4, "supplemented": 1, "supplemented_kept": 0}
    counts |= {"num_queries": 2, "without": 1, "unjudged": 3, "distrusted": 2, "negatives": 0.5}
    assert {name: row[name] for name in counts} == counts


def test_histograms_hold_every_scored_pair_once():
    scores = pl.LazyFrame({"query_id": "q1", "doc_id": ["a", "b", "x", "y"], "probability": [1.0, 0.5, 0.0, 0.0001]})
    found = mining.histograms(scores.with_columns(language=pl.lit("sw")), QRELS)["sw"]
    assert {name: sum(shares) for name, shares in found.items()} == dict.fromkeys(mining.CLASSES, pytest.approx(1))
    assert np.flatnonzero(found["positive"]).tolist() == [27]
    assert np.flatnonzero(found["judged negative"]).tolist() == [14]
    assert np.flatnonzero(found["candidate"]).tolist() == [0]


def test_cut_is_that_of_the_strategy():
    grade = {"strategy": "grade", "grade_cuts": [0.2, 0.6], "max_grade_kept": 1, "max_probability": 0.5}
    assert [value for value, _ in mining.cuts(grade)] == [0.6, 0.5]
    assert mining.cuts({**grade, "max_grade_kept": 2, "max_probability": None}) == []
    threshold = {"strategy": "threshold", "score": "probability", "max_score": 0.7}
    assert [value for value, _ in mining.cuts(threshold)] == [0.7]
    assert mining.cuts({"strategy": "margin"}) == []


def test_every_reason_to_drop_has_words_of_its_own():
    reasons = re.findall(r"\| `(\w+)` \| dropped", str(select.__doc__))
    assert len(reasons) > 9
    assert [reason for reason in reasons if mining.words(reason) == reason] == []


def test_heat_is_the_share_of_a_languages_places():
    topics = pl.DataFrame(
        {"language": ["fi", "sw", "sw"], "query_id": ["1", "2", "3"], "topic": [0, 0, 1], "label": ["a", "a", "b"]}
    )
    plan = pl.DataFrame({"epoch": 0, "step": [0, 1, 1, 1], "language": ["fi", "sw", "sw", "sw"], "topic": [0, 0, 1, 1]})
    plan = plan.with_columns(weight=pl.lit(1.0), not_negatives=pl.Series([[], ["d"], [], ["e", "f"]]))
    found = training.batches(topics, plan)
    assert found["heat"] == {
        "fi": {"0 a": 1.0, "1 b": 0.0},
        "sw": {"0 a": pytest.approx(1 / 3), "1 b": pytest.approx(2 / 3)},
    }
    assert (found["num_steps"], found["num_slots"], found["masked_pairs"]) == (2, 4, 3)
    assert [row["masked"] for row in found["languages"]] == [0, pytest.approx(2 / 3)]


def test_curves_put_neighbouring_steps_together_and_leave_overflow_out():
    number = 160
    log = pl.DataFrame({"step": range(number), "loss": [1.0, 3.0] * (number // 2), "language": ["fi", "sw"] * 80})
    log = log.with_columns(learning_rate=pl.lit(0.1), validation_ndcg=pl.lit(None, pl.Float64))
    log = log.with_columns(gradient_norm=pl.when(pl.col("step") > 1).then(2.0).otherwise(float("inf")))
    found = training.curves(log)
    assert set(found) == {"loss", "learning_rate", "gradient_norm"}
    assert found["loss"][:2] == [(0.5, 2.0), (2.5, 2.0)]
    assert [{value for _, value in points} for points in training.losses(log).values()] == [{1.0}, {3.0}]
    assert training.losses(log.filter(pl.col("language") == "fi")) == {}
    assert {value for _, value in found["gradient_norm"]} == {2.0}
    assert training.ends([(0.0, 9.0), (1.0, 5.0), *[(2.0, 0.0)] * 17, (3.0, 1.0)]) == (7.0, 0.5)
    assert training.ends([(0.0, 9.0)]) == (9.0, 9.0)


def test_examples_of_the_ledger_are_the_most_probable_of_each_kind():
    rows = examples.decisions(LEDGER, number=5)
    told = [(row["kind"], row["doc_id"], row["reason"]) for row in rows]
    assert told == [("dropped", "x", "graded relevant by the judge"), ("kept", "b", "judged not relevant")]
    surer = LEDGER.with_columns(language=pl.lit("te"), probability=pl.col("probability") + 0.05)
    rows = [row for row in examples.decisions(pl.concat([LEDGER, surer]), number=5) if row["kind"] == "dropped"]
    assert [row["language"] for row in rows] == ["te", "sw"]


def test_contest_shows_the_positive_and_what_the_loser_has_first():
    keys = {"language": "sw", "query_id": ["q1", "q2"]}
    values = {
        "bm25": pl.DataFrame({**keys, "value": [0.2, 0.5]}),
        "trained": pl.DataFrame({**keys, "value": [0.9, 0.5]}),
    }
    runs = {
        "bm25": pl.LazyFrame({"language": "sw", "query_id": "q1", "doc_id": ["x", "a"], "rank": [1, 2]}),
        "trained": pl.LazyFrame({"language": "sw", "query_id": "q1", "doc_id": ["a", "y"], "rank": [1, 2]}),
    }
    queries = pl.LazyFrame({**keys, "text": ["Nini?", "Wapi?"]})
    corpus = pl.LazyFrame({"language": "sw", "doc_id": ["a", "x"], "title": ["A", None], "text": ["ndiyo", "h" * 500]})
    (row,) = examples.complete(examples.contests(values, runs, 3), queries=queries, qrels=QRELS, corpus=corpus)
    assert row == {
        "kind": "won",
        "language": "sw",
        "query_id": "q1",
        "values": {"trained": 0.9, "bm25": 0.2},
        "places": {"trained": 1, "bm25": 2},
        "query": "Nini?",
        "positive": {"doc_id": "a", "title": "A", "text": "ndiyo"},
        "candidate": {"doc_id": "x", "title": "", "text": "h" * 300 + "…"},
    }


@pytest.mark.parametrize(("languages", "number"), [(1, 20), (16, 7), (100, 4)])
def test_examples_stay_few_however_many_languages(languages, number):
    assert examples.per_kind(languages) == number


def test_language_whose_answers_are_lost_is_named_beside_the_middle_one():
    (line,) = faults.lost_answers({"fi": 0.7, "sw": 0.1, "te": 0.5}, "dev")
    assert line.startswith("Swahili: the documents judged relevant to its dev queries")
    assert "(reciprocal rank .100, against .600 in the middle language)" in line
    assert faults.lost_answers({"fi": 0.3}, "dev") == []
    assert len(faults.lost_answers({"fi": 0.01}, "dev")) == 1


def test_reciprocal_rank_is_of_the_best_relevant_document_of_the_first_ten():
    number = 20
    ids = [f"q{place}" for place in range(number)]
    qrels = pl.LazyFrame({"language": "sw", "query_id": ids, "doc_id": "a", "relevance": 1})
    ranked = pl.LazyFrame({"language": "sw", "query_id": ids, "doc_id": "a", "rank": [2] * 10 + [11] * 10})
    assert faults.reciprocal_ranks(ranked, qrels) == {"sw": 0.25}
    assert faults.reciprocal_ranks(ranked, qrels.head(19)) == {}


@pytest.mark.parametrize(
    ("distrusted", "strategy", "lines"), [(0, "grade", 1), (95, "grade", 1), (20, "grade", 0), (0, "naive", 0)]
)
def test_judge_that_drops_nothing_or_nearly_all_is_named(distrusted, strategy, lines):
    row = {"language": "te", "unjudged": 100, "distrusted": distrusted}
    assert len(faults.odd_judges([row], strategy)) == lines


def test_differences_name_settings_data_steps_and_measures():
    def run(seed: int, content: str, value: float) -> Run:
        """A run whose trained system measured this, and whose BM25 does not change."""
        datasets = [
            RunDataset(
                stage="ingest", step="ingest_qrels", kind="qrels", partition="sw", fingerprint="f", content=content
            ),
            RunDataset(
                stage="ingest", step="ingest_corpus", kind="corpus", partition="sw", fingerprint="f", content="c"
            ),
            RunDataset(
                stage="train",
                step="train_encoder",
                kind="training_log",
                partition="all",
                fingerprint="f",
                content=content,
            ),
        ]
        values = {"bm25": 0.5, "trained": value}
        means = [{"language": "sw", "metric": "nDCG@10", "system": name, "value": one} for name, one in values.items()]
        settings = {"name": "one", "plan_batches": {"seed": seed}}
        return Run(id="r", name="one", settings=settings, datasets=datasets, metrics=means, started_at="")

    assert cost.differences(run(14, "new", 0.7), run(13, "old", 0.6)) == {
        "settings": [("plan_batches.seed", 13, 14)],
        "data": {"qrels": ["sw"]},
        "built": ["train_encoder"],
        "metric": "nDCG@10",
        "metrics": {"sw": {"bm25": (0.5, 0.5), "trained": (0.6, 0.7)}},
        "same": ["bm25"],
    }


@pytest.mark.parametrize(
    ("values", "texts"), [([0.0, 3.9], ["0", "1", "2", "3", "4"]), ([5.0], ["4", "6"]), ([0.0], ["0", "0.5"])]
)
def test_ticks_are_round_numbers_around_the_values(values, texts):
    marks = pictures.ticks(values)
    assert min(marks) <= min(values) <= max(values) <= max(marks)
    assert list(marks.values()) == texts
