"""The strategies and the ledger, on a table that fits on a page."""

import inspect
import re
from typing import get_args

import polars as pl
import pytest

from tasks.denoise import select
from tasks.denoise.config import READ_BY_STRATEGY, DenoiseConfig, SelectConfig, Strategy
from tasks.denoise.ledger import relabel
from tasks.denoise.select import STRATEGIES, select_hard_negatives
from tasks.models.texts import find_echoes

SYSTEMS = pl.List(pl.Struct({"system": pl.String, "rank": pl.Int32, "score": pl.Float32}))
CANDIDATES = pl.DataFrame(
    {
        "query_id": ["q"] * 6,
        "doc_id": ["a", "b", "c", "d", "e", "f"],
        "rank": [1, 2, 3, 4, 5, 6],
        "score": [6.0, 5.0, 4.0, 3.0, 2.0, 1.0],
        "systems": [[{"system": "bm25", "rank": 1, "score": 1.0}]] * 6,
    },
    schema={"query_id": pl.String, "doc_id": pl.String, "rank": pl.Int32, "score": pl.Float32, "systems": SYSTEMS},
)
# a: judged relevant. b: highly relevant, unjudged. c: judged not relevant, but high. d: partly. e, f: low.
PROBABILITY = {"a": 0.80, "b": 0.95, "c": 0.90, "d": 0.60, "e": 0.40, "f": 0.10}
GRADE = {"a": 2, "b": 2, "c": 2, "d": 1, "e": 0, "f": 0}
RAW = {"a": -1.0, "b": 2.0, "c": 1.5, "d": -1.05, "e": -1.2, "f": -4.0}
SCORES = pl.DataFrame(
    [("q", doc, "fold-0", RAW[doc], PROBABILITY[doc], GRADE[doc]) for doc in RAW],
    schema={
        "query_id": pl.String,
        "doc_id": pl.String,
        "judge": pl.String,
        "raw": pl.Float32,
        "probability": pl.Float32,
        "grade": pl.Int32,
    },
    orient="row",
)
QRELS = pl.DataFrame(
    [("q", "a", 1), ("q", "c", 0)],
    schema={"query_id": pl.String, "doc_id": pl.String, "relevance": pl.Int32},
    orient="row",
)


def ledger(
    strategy: str = "grade",
    score: str = "probability",
    num_negatives: int = 30,
    candidates: pl.DataFrame = CANDIDATES,
    scores: pl.DataFrame = SCORES,
    qrels: pl.DataFrame = QRELS,
    texts: dict[str, str] | None = None,
    echoes: str = "",
    **limits: float,
) -> pl.DataFrame:
    settings = SelectConfig.model_validate(
        {"strategy": strategy, "score": score, "num_negatives": num_negatives, **limits}
    )
    pairs = pl.DataFrame({"query_id": ["q"] * len(echoes), "doc_id": [*echoes]}) if echoes else None
    return select_hard_negatives(candidates, scores, qrels, settings, numbered(texts), pairs)


def numbered(texts: dict[str, str] | None) -> pl.DataFrame | None:
    """Give each document a number, the same where the texts are."""
    if texts is None:
        return None
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts.values()))}
    same = pl.Series("same", [numbers[text] for text in texts.values()], dtype=pl.UInt64)
    return pl.DataFrame({"doc_id": list(texts)}).with_columns(same)


def kept(*args: str, **kwargs: object) -> str:
    return "".join(ledger(*args, **kwargs).filter(pl.col("decision") == "kept")["doc_id"])  # type: ignore[arg-type]


def reasons(*args: str, **kwargs: object) -> dict[str, str]:
    rows = ledger(*args, **kwargs).select("doc_id", "reason").rows()  # type: ignore[arg-type]
    return dict(rows)


def test_every_strategy_has_a_rule_and_names_what_it_reads():
    assert set(STRATEGIES) == set(READ_BY_STRATEGY) == set(get_args(Strategy))
    read = {name for names in READ_BY_STRATEGY.values() for name in names}
    assert read == set(SelectConfig.model_fields) - {"strategy", "num_negatives", "relabel"}


def test_setting_of_a_strategy_has_a_name_of_its_own():
    assert not set(SelectConfig.model_fields) & set(DenoiseConfig.__annotations__)


def test_every_reason_stands_in_the_table():
    reasons = set(re.findall(r'pl\.lit\("(\w+)"\)', inspect.getsource(select))) - {"kept", "dropped"}
    assert len(reasons) > 8
    assert [reason for reason in sorted(reasons) if f"| `{reason}` |" not in str(select.__doc__)] == []


def test_naive_keeps_all_but_judged_relevant():
    assert kept("naive") == "bcdef"
    assert reasons("naive")["a"] == "judged_relevant"


def test_shifted_drops_first_ranks_but_not_judged_not_relevant():
    assert kept("shifted", shift=4) == "cef"
    assert reasons("shifted", shift=4)["b"] == "rank_within_shift"
    assert reasons("shifted", shift=4)["c"] == "judged_not_relevant"


@pytest.mark.parametrize(
    ("score", "max_score", "expected"), [("probability", 0.6, "cdef"), ("raw", -1.1, "cef"), ("fused", 2.5, "cef")]
)
def test_threshold_compares_the_chosen_score(score: str, max_score: float, expected: str):
    assert kept("threshold", score=score, max_score=max_score) == expected


def test_margin_keeps_scores_far_enough_below_the_positive():
    # the positive has .80, so up to .65 is safe
    assert kept("margin", margin=0.15) == "cdef"
    assert kept("margin", margin=0.25) == "cef"
    assert reasons("margin", margin=0.25)["d"] == "score_near_positive"


def test_percent_lies_below_a_negative_positive_score():
    # the positive has raw -1.0: 90 % of it allows up to -1.1, not -0.9
    assert kept("percent", score="raw", percent=90.0) == "cef"
    assert kept("percent", score="raw", percent=100.0) == "cdef"


def test_percent_of_a_positive_probability_is_a_product():
    assert kept("percent", percent=50.0) == "cef"  # 0.5 * 0.8 = 0.40, and e has just 0.40


def test_margin_and_percent_drop_all_unjudged_without_a_scored_positive():
    without = QRELS.filter(pl.col("relevance") == 0)
    found = reasons("margin", qrels=without)
    assert {found[doc] for doc in "abdef"} == {"positive_not_scored"}
    assert kept("percent", qrels=without) == "c"


def test_positive_that_was_not_retrieved_has_beaten_nothing_of_the_fused_list():
    rest = CANDIDATES.filter(pl.col("doc_id") != "a")
    for strategy, limit in (("margin", {"margin": 0.15}), ("percent", {"percent": 90.0})):
        found = reasons(strategy, score="fused", candidates=rest, **limit)
        assert found == dict.fromkeys("bdef", "score_near_positive") | {"c": "judged_not_relevant"}
    assert kept("margin", score="fused", candidates=rest, margin=0.0) == "cf"  # f is last, and the reference
    assert kept("margin", score="probability", candidates=rest) == "cdef"


def test_positive_that_was_retrieved_is_the_reference_where_another_was_not():
    two = pl.concat([QRELS, pl.DataFrame([("q", "z", 1)], schema=QRELS.schema, orient="row")])
    assert kept("margin", score="fused", qrels=two, margin=2.5) == "cdef"  # a has 6
    assert reasons("margin", score="fused", qrels=two, margin=2.5)["b"] == "score_near_positive"


def test_best_of_several_positives_is_the_reference():
    two = pl.concat([QRELS, pl.DataFrame([("q", "f", 1)], schema=QRELS.schema, orient="row")])
    assert kept("margin", qrels=two, margin=0.15) == "cde"


def test_grade_drops_higher_grades_then_higher_probabilities():
    assert reasons("grade", max_probability=0.3) == {
        "a": "judged_relevant",
        "b": "grade_above_max",
        "c": "judged_not_relevant",
        "d": "grade_above_max",
        "e": "probability_above_max",
        "f": "safe",
    }


def test_grade_keeps_partly_relevant_when_told_so():
    """The setting alone does it: no other default stands in its way."""
    assert kept("grade", max_grade_kept=1) == "cdef"


def test_hardness_follows_fused_rank_and_stops_at_num_negatives():
    found = ledger("naive", num_negatives=3)
    assert dict(found.select("doc_id", "hardness").rows()) == {"a": None, "b": 1, "c": 2, "d": 3, "e": None, "f": None}
    assert reasons("naive", num_negatives=3)["e"] == "beyond_num_negatives"


def test_ties_in_rank_break_by_doc_id():
    tied = CANDIDATES.with_columns(rank=pl.lit(1, dtype=pl.Int32)).reverse()
    found = ledger("naive", candidates=tied)
    assert found.drop_nulls("hardness").sort("hardness")["doc_id"].to_list() == ["b", "c", "d", "e", "f"]


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_ledger_has_every_candidate_whatever_the_order_of_rows(strategy: str):
    found = ledger(strategy)
    assert found["doc_id"].to_list() == list("abcdef")
    shuffled = ledger(
        strategy,
        candidates=CANDIDATES.sample(fraction=1.0, shuffle=True, seed=3),
        scores=SCORES.reverse(),
        qrels=QRELS.reverse(),
    )
    assert shuffled.equals(found)


def test_queries_do_not_share_hardness_or_positives():
    other = CANDIDATES.with_columns(query_id=pl.lit("p"))
    scores = pl.concat([SCORES, SCORES.with_columns(query_id=pl.lit("p"))])
    found = ledger("margin", candidates=pl.concat([CANDIDATES, other]), scores=scores, margin=0.15)
    assert found["query_id"].to_list() == ["p"] * 6 + ["q"] * 6
    assert set(found.filter(pl.col("query_id") == "p")["reason"]) == {"positive_not_scored"}
    assert found.filter(pl.col("query_id") == "q")["hardness"].to_list() == [None, None, 1, 2, 3, 4]


def test_no_candidates_give_an_empty_ledger():
    found = ledger(candidates=CANDIDATES.clear())
    assert found.is_empty()
    assert found.columns[-3:] == ["decision", "reason", "hardness"]


def test_rejects_candidate_without_score():
    with pytest.raises(ValueError, match=r"expected one row for each of 6 candidates, got none for 1 .*'f'"):
        ledger(scores=SCORES.filter(pl.col("doc_id") != "f"))


def test_rejects_pair_that_is_scored_twice():
    with pytest.raises(ValueError, match="12 rows in all"):
        ledger(scores=pl.concat([SCORES, SCORES]))


def test_rejects_unknown_strategy_and_score():
    with pytest.raises(ValueError, match=r"strategy\s+Input should be 'naive', .*input_value='random'"):
        ledger("random")
    with pytest.raises(ValueError, match=r"score\s+Input should be 'probability', .*input_value='rank'"):
        ledger(score="rank")


def test_a_relevance_below_zero_is_judged_not_relevant():
    below = QRELS.with_columns(relevance=pl.when(pl.col("relevance") == 0).then(-1).otherwise("relevance"))
    below = below.cast({"relevance": pl.Int32})
    assert ledger("threshold", qrels=below).drop("relevance").equals(ledger("threshold").drop("relevance"))
    assert reasons("threshold", qrels=below)["c"] == "judged_not_relevant"
    assert reasons("margin", qrels=below.filter(pl.col("relevance") < 0))["b"] == "positive_not_scored"


# The LLM judged b (highly relevant), d (irrelevant, whatever the cross-encoder says) and e (unreadable).
LLM_GRADES = {"b": 2, "d": 0, "e": None}
JUDGED_BY_LLM = pl.DataFrame(
    [(*row[:2], "llm", *row[3:5], LLM_GRADES[row[1]]) if row[1] in LLM_GRADES else row for row in SCORES.rows()],
    schema=SCORES.schema,
    orient="row",
)


def decided(**settings):
    table = ledger(scores=JUDGED_BY_LLM, **settings)
    return {row["doc_id"]: (row["decision"], row["reason"]) for row in table.to_dicts()}


def test_llm_s_grade_is_not_overruled_by_the_probability():
    assert decided(max_probability=0.05)["d"] == ("kept", "safe")
    assert decided(max_probability=0.05)["f"] == ("dropped", "probability_above_max")


def test_llm_s_grade_drops_and_keeps_by_max_grade_kept():
    assert decided()["b"] == ("dropped", "grade_above_max")
    assert decided(max_grade_kept=2)["b"] == ("kept", "safe")


@pytest.mark.parametrize("max_grade_kept", [0, 1, 2])
def test_verdict_that_could_not_be_read_is_never_kept(max_grade_kept):
    assert decided(max_grade_kept=max_grade_kept, max_probability=1.0)["e"] == ("dropped", "verdict_unparsed")


def test_judgements_of_people_come_before_the_llm_s():
    assert decided()["a"] == ("dropped", "judged_relevant")
    assert decided()["c"] == ("kept", "judged_not_relevant")


@pytest.mark.parametrize("strategy", [name for name, read in READ_BY_STRATEGY.items() if "score" in read])
@pytest.mark.parametrize("score", ["probability", "raw"])
def test_strategy_that_compares_scores_drops_a_candidate_without_one(strategy, score):
    unscored = pl.col("doc_id") == "e"
    scores = JUDGED_BY_LLM.with_columns(
        raw=pl.when(~unscored).then("raw"), probability=pl.when(~unscored).then("probability")
    )
    table = ledger(strategy, score, scores=scores, max_score=100.0, margin=0.0, percent=100.0)
    found = dict(table.select("doc_id", "reason").rows())
    assert found["e"] == "verdict_unparsed"
    assert "verdict_unparsed" not in {reason for doc_id, reason in found.items() if doc_id != "e"}


def test_highly_relevant_unjudged_candidates_are_relabelled_whatever_the_strategy():
    for strategy in ("naive", "grade"):
        table = ledger(strategy, max_grade_kept=2, max_probability=1.0, relabel=True)
        assert table.filter(pl.col("reason") == "relabelled")["doc_id"].to_list() == ["b"]
    assert "relabelled" not in ledger("grade")["reason"]


def test_relabelled_candidates_join_the_judgements():
    judged = relabel(QRELS, ledger("naive", relabel=True))
    assert judged.rows() == [("q", "a", 1), ("q", "b", 1), ("q", "c", 0)]
    assert relabel(QRELS, ledger("naive")).equals(QRELS)


def test_document_that_says_what_the_query_says_is_an_echo_whatever_its_id_title_and_case():
    queries = pl.DataFrame({"query_id": ["q", "p"], "text": ["How do I return  a kettle?", "Kettle: Cannot sign in"]})
    documents = [
        ("a", "", "how do I return a KETTLE?\u00a0"),
        ("b", "Returns", "How do I return a kettle?"),
        ("c", "Kettle:", "cannot sign in"),
        ("d", "", "How do I return a desk?"),
    ]
    corpus = pl.DataFrame(documents, schema=["doc_id", "title", "text"], orient="row")
    assert sorted(find_echoes(queries.lazy(), corpus.lazy()).rows()) == [("p", "c"), ("q", "a"), ("q", "b")]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_echo_of_the_query_is_no_negative_and_no_positive_whatever_people_and_judges_say(strategy: str):
    # a is judged relevant and stays so, c judged not relevant, f the least suspicious, b would be relabelled
    found = reasons(strategy, echoes="abcf", relabel=True)
    assert found["a"] == "judged_relevant"
    assert {found[doc] for doc in "bcf"} == {"says_the_query"}
    assert not {*kept(strategy, echoes="abcf")} & {*"abcf"}


def test_relabelling_overrules_no_person():
    table = ledger("naive", relabel=True).with_columns(reason=pl.lit("relabelled"))
    assert relabel(QRELS, table).filter(pl.col("doc_id") == "c")["relevance"].to_list() == [0]


ALL = {doc: doc for doc in "abcdef"}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_copies_of_a_relevant_document_are_dropped_whatever_the_strategy(strategy: str):
    # e and f, the least suspicious, say what a says; and c does, that a person found not relevant.
    texts = ALL | {"e": "a", "f": "a", "c": "a"}
    found = reasons(strategy, texts=texts)
    assert {found[doc] for doc in "cef"} == {"copy_of_relevant"}
    assert found["a"] == "judged_relevant"
    assert not {*kept(strategy, texts=texts)} & {*"acef"}


def test_copies_of_a_relevant_document_that_was_not_retrieved_are_dropped():
    rest = CANDIDATES.filter(pl.col("doc_id") != "a")
    assert reasons("naive", candidates=rest, texts=ALL | {"e": "a"})["e"] == "copy_of_relevant"


def test_copies_of_what_is_relevant_to_another_query_or_judged_not_relevant_are_none():
    other = pl.concat([QRELS, pl.DataFrame([("p", "x", 1)], schema=QRELS.schema, orient="row")])
    found = reasons("naive", qrels=other, texts=ALL | {"x": "e", "f": "c"})
    assert (found["e"], found["f"]) == ("safe", "safe")


def test_documents_without_a_text_are_no_copies_of_each_other():
    assert reasons("naive", texts={"a": "a"}) == reasons("naive")
    found = reasons("grade", relabel=True, texts={"a": "a"})
    assert [found[doc] for doc in "bdef"] == ["relabelled", "grade_above_max", "safe", "safe"]


def test_one_of_several_copies_is_relabelled_and_the_others_are_copies():
    # b and e say the same; b comes first. Only b has grade 2: that is enough.
    found = reasons("grade", relabel=True, texts=ALL | {"e": "b", "d": "b"})
    assert {doc: found[doc] for doc in "bde"} == {
        "b": "relabelled",
        "d": "copy_of_relevant",
        "e": "copy_of_relevant",
    }
    twice = SCORES.with_columns(grade=pl.when(pl.col("doc_id") == "e").then(2).otherwise("grade"))
    found = reasons("grade", relabel=True, scores=twice, texts=ALL | {"e": "b"})
    assert (found["b"], found["e"]) == ("relabelled", "copy_of_relevant")
    found = reasons("grade", relabel=True, scores=twice, texts=ALL)
    assert (found["b"], found["e"]) == ("relabelled", "relabelled")


def test_copies_of_a_judged_document_are_not_relabelled():
    assert reasons("grade", relabel=True, texts=ALL | {"b": "a"})["b"] == "copy_of_relevant"
    assert reasons("grade", relabel=True, texts=ALL | {"b": "c"})["b"] == "grade_above_max"
