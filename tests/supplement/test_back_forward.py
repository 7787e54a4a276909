"""Back and forward, with a scripted generator: how many questions, which, and what becomes of bad answers."""

import pytest
from support.scripted_chat import ScriptedChat

from tasks.models.chat import Request
from tasks.supplement.back_forward import MAX_PASSAGE_CHARACTERS, Short, generate_queries

ONE = Short("q1", "Where is Turku?", 5, [("d1", "Turku is in Finland."), ("d2", "Turku lies on the coast.")])
SETTINGS = {
    "language": "en",
    "name": "script",
    "max_generated": 3,
    "negatives_each": 10,
    "seed": 7,
}


def is_back(request: Request) -> bool:
    return request.user.startswith("Question:")


def good(request: Request) -> str:
    return f"Turku, seed {request.seed}." if is_back(request) else f"What is number {request.seed}?"


def generate(shorts, rule=good, order=0, **changed):
    model = ScriptedChat(rule, seed=order)
    done: list[int] = []
    rows = generate_queries(shorts, model, progress=done.append, **SETTINGS | changed)
    assert sum(done) == len(model.asked)
    return rows, model.asked


def test_summary_is_asked_with_query_and_positive_then_a_query_with_the_summary():
    rows, (back, forward) = generate([ONE])
    assert "Where is Turku?" in back.user
    assert "Turku is in Finland." in back.user
    assert "Turku, seed 8." in forward.user
    assert "Finland" not in forward.user
    assert rows.to_dicts() == [
        {
            "query_id": "q1~1",
            "parent": "q1",
            "attempt": 1,
            "doc_id": "d1",
            "summary": "Turku, seed 8.",
            "text": "What is number 8?",
            "status": "good",
            "reason": None,
            "model": "script",
            "summary_reply": "Turku, seed 8.",
            "query_reply": "What is number 8?",
            "prompt_tokens": 20,
            "completion_tokens": 7,
        }
    ]


@pytest.mark.parametrize(("missing", "number"), [(1, 1), (10, 1), (11, 2), (25, 3), (300, 3)])
def test_query_gets_as_many_as_it_lacks_negatives_for_and_no_more_than_allowed(missing, number):
    rows, asked = generate([Short("q1", "Where is Turku?", missing, ONE.positives)])
    assert rows["attempt"].to_list() == list(range(1, number + 1))
    assert len(asked) == 2 * number


def test_attempts_take_positives_and_seeds_in_turn():
    rows, asked = generate([Short("q1", "Where is Turku?", 30, ONE.positives)])
    assert rows["doc_id"].to_list() == ["d1", "d2", "d1"]
    assert sorted(request.seed for request in asked) == [8, 8, 9, 9, 10, 10]


def test_fewer_missing_negatives_ask_a_part_of_the_same_questions():
    _, many = generate([Short("q1", "Where is Turku?", 30, ONE.positives)])
    _, few = generate([ONE])
    assert set(few) < set(many)


def test_bad_answer_is_recorded_and_tried_anew():
    def rule(request: Request) -> str:
        return "" if request.seed == 8 else good(request)

    rows, asked = generate([ONE], rule)
    assert rows.select("attempt", "status", "reason").rows() == [(1, "bad", "summary_empty"), (2, "good", None)]
    assert rows["query_reply"].to_list() == [None, "What is number 9?"]
    assert len(asked) == 3  # no query is asked for without a summary


def test_attempts_end_where_every_answer_is_bad():
    rows, _ = generate([ONE], lambda request: "Kuka on hän ja mitä?" if not is_back(request) else good(request))
    assert rows["reason"].to_list() == ["query_wrong_language"] * 3
    assert rows["text"].to_list() == [None] * 3
    assert rows["query_reply"].to_list() == ["Kuka on hän ja mitä?"] * 3


def test_second_query_that_repeats_the_first_is_bad():
    rows, _ = generate(
        [Short("q1", "Where is Turku?", 20, ONE.positives)], lambda r: good(r) if is_back(r) else "What is old?"
    )
    assert rows["reason"].to_list() == [None, "query_repeated", "query_repeated"]


def test_query_without_a_positive_is_recorded_and_nothing_asked():
    rows, asked = generate([Short("q0", "Who?", 30, [])])
    assert asked == []
    assert rows.select("query_id", "attempt", "status", "reason").rows() == [("q0~0", 0, "bad", "no_positive")]


def test_no_short_query_gives_no_rows_and_no_question():
    rows, asked = generate([])
    assert rows.is_empty()
    assert rows.width == 13
    assert asked == []


def test_passage_is_cut():
    _, (back, _) = generate([Short("q1", "Where is Turku?", 5, [("d1", "ø" * 5000)])])
    assert back.user.count("ø") == MAX_PASSAGE_CHARACTERS == 2000


def test_rows_do_not_depend_on_the_order_of_queries_or_answers():
    shorts = [Short(f"q{n}", f"Where is number {n}?", 25, ONE.positives) for n in range(5)]
    rule = lambda r: "" if r.seed == 9 and "number 3" in r.user else good(r)  # noqa: E731
    rows, _ = generate(shorts, rule)
    again, _ = generate(shorts[::-1], rule, order=3)
    assert rows.equals(again)
    assert rows.select("parent", "attempt").is_duplicated().sum() == 0
