"""The LLM judge as steps on a store, against a real HTTP server: what is asked, kept, and never asked again."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from support.command import REPOSITORY
from support.judge_data import CANDIDATES, QUERIES, graded, make, scored, settings, verdicts
from support.llm_server import LlmServer

import storage
from tasks.models.chat import BudgetExhausted, ChatUnavailable

NUM_PAIRS = len(QUERIES) * (len(CANDIDATES) + 1)  # every candidate, and the positive that is none


@pytest.fixture
def server():
    with LlmServer().serving() as started:
        yield started


def test_judge_asks_about_candidates_and_judged_of_train_queries(server, tmp_path):
    table = make(verdicts(settings(server.url)), str(tmp_path))
    assert len(table) == server.calls == NUM_PAIRS * 3
    assert table.select("query_id", "doc_id").unique().height == NUM_PAIRS
    assert table["status"].unique().to_list() == ["parsed"]
    assert set(server.asked.values()) == {1}
    assert Counter(table["sample"]) == {0: NUM_PAIRS, 1: NUM_PAIRS, 2: NUM_PAIRS}
    assert table.rows() == table.sort("query_id", "doc_id", "sample").rows()


def test_reference_is_a_positive_other_than_the_document(server, tmp_path):
    table = make(verdicts(settings(server.url, num_samples=1)), str(tmp_path))
    references = {(row["query_id"], row["doc_id"]): row["reference"] for row in table.to_dicts()}
    assert references["q1", "b"] == "p"
    assert references["q1", "p"] is None  # its only positive
    assert references["q3", "p"] == "b"
    assert references["q3", "b"] == "p"
    prompts = {user for user, _ in server.asked}
    assert "<query>\nquestion q1\n</query>\n\n<passage>\ntitle p\ntext of p\n</passage>" in prompts
    expected = "<reference>\ntitle p\ntext of p\n</reference>\n\n<passage>\ntitle b\ntext of b\n</passage>"
    assert f"<query>\nquestion q1\n</query>\n\n{expected}" in prompts


def test_samples_have_different_seeds(server, tmp_path):
    make(verdicts(settings(server.url)), str(tmp_path))
    assert {seed for _, seed in server.asked} == {0, 1, 2}


def test_cascade_asks_only_about_unjudged_candidates_in_the_band(server, tmp_path):
    table = make(verdicts(settings(server.url), band=(0.1, 0.5)), str(tmp_path))
    pairs = set(table.select("query_id", "doc_id").unique().rows())
    judged = {("q3", "b")}  # a person said so: no need to ask
    assert pairs == {(query, doc_id) for query in QUERIES for doc_id in "bcde"} - judged
    assert server.calls == len(pairs) * 3


def test_wider_band_asks_only_about_what_it_adds(server, tmp_path):
    make(verdicts(settings(server.url), band=(0.2, 0.5)), str(tmp_path))
    before = server.calls
    make(verdicts(settings(server.url), band=(0.1, 0.5)), str(tmp_path))
    assert server.calls == before + len(QUERIES) * 3  # e alone is new


def test_more_samples_ask_only_for_the_new_ones(server, tmp_path):
    make(verdicts(settings(server.url, num_samples=1)), str(tmp_path))
    table = make(verdicts(settings(server.url, num_samples=2)), str(tmp_path))
    assert len(table) == server.calls == NUM_PAIRS * 2
    assert set(server.asked.values()) == {1}


def test_changed_question_is_asked_again(server, tmp_path):
    make(verdicts(settings(server.url, num_samples=1)), str(tmp_path))
    make(verdicts(settings(server.url, num_samples=1, max_document_characters=9)), str(tmp_path))
    assert server.calls == 2 * NUM_PAIRS


def test_another_model_is_asked_anew(server, tmp_path):
    make(verdicts(settings(server.url, num_samples=1)), str(tmp_path))
    make(verdicts(settings(server.url, num_samples=1), identity="another"), str(tmp_path))
    assert server.calls == 2 * NUM_PAIRS


def test_where_and_at_what_cost_it_runs_is_not_in_the_fingerprint():
    here = verdicts(settings("http://127.0.0.1:1/v1"))
    elsewhere = verdicts(settings("http://there/v1", chat={"max_calls": 9, "max_concurrency": 7, "model": "x"}))
    assert here.fingerprint == elsewhere.fingerprint


def test_vote_and_grades_ask_nothing_again(server, tmp_path):
    band = (0.1, 0.5)
    make(graded(settings(server.url), band), str(tmp_path))
    before = server.calls
    make(graded(settings(server.url, vote="highest"), band), str(tmp_path))
    assert server.calls == before


def test_dataset_does_not_depend_on_the_order_of_replies(tmp_path):
    def late_first(user: str, before: int) -> str | None:
        return "slow" if "question q1" in user else None

    with LlmServer().serving() as even, LlmServer(fault=late_first).serving() as uneven:
        uneven.slow_seconds = 0.02
        contents = [
            storage.load(step.ref(root)).content
            for server, root in ((even, str(tmp_path / "even")), (uneven, str(tmp_path / "uneven")))
            if len(make(step := verdicts(settings(server.url, num_samples=1)), root))
        ]
    assert contents[0] == contents[1]


def test_unreadable_replies_are_recorded_and_grade_nothing(tmp_path, caplog):
    def answer(system: str, user: str, seed: int) -> str:
        marks = {"accuracy": 2, "completeness": 2}
        if "text of c\n</passage>" in user:
            return "I would say it is quite relevant."
        if "text of d\n</passage>" in user and seed > 0:
            return json.dumps({**marks, "accuracy": 3})
        return json.dumps(marks)

    def refused(user: str, before: int) -> str | None:
        return "refused" if "text of e\n</passage>" in user else None

    with LlmServer(answer, refused).serving() as server, caplog.at_level(logging.WARNING):
        table = make(verdicts(settings(server.url), band=(0.1, 0.5)), str(tmp_path))
        scores = make(graded(settings(server.url), (0.1, 0.5)), str(tmp_path))
    unparsed = table.filter(pl.col("status") == "unparsed")
    assert set(unparsed["doc_id"]) == {"c", "d", "e"}
    assert unparsed["accuracy"].null_count() == len(unparsed) == 3 * (3 + 2 + 3)
    assert set(table.filter(pl.col("doc_id") == "e")["reply"]) == {"I cannot judge this."}
    grades = {row["doc_id"]: (row["judge"], row["grade"]) for row in scores.to_dicts() if row["query_id"] == "q1"}
    assert grades["b"] == ("llm", 2)
    assert grades["c"] == grades["d"] == grades["e"] == ("llm", None)
    assert grades["f"] == ("fold-0", 0)
    assert "24 of 33 replies are not what was asked for" in caplog.text


def test_llm_alone_scores_what_has_a_majority(tmp_path):
    def answer(system: str, user: str, seed: int) -> str:
        return "no" if "text of c\n</passage>" in user else json.dumps({"accuracy": 2, "completeness": seed})

    with LlmServer(answer).serving() as server:
        raw = make(scored(settings(server.url)), str(tmp_path))
    assert set(raw["judge"]) == {"llm"}
    assert set(raw["doc_id"]) == {"p", "a", "b", "d", "e", "f"}
    assert set(raw["raw"]) == {3.0}  # accuracy 2, and 0, 1, 2 for completeness


def test_cost_and_budget_are_stated_before_the_first_question(server, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        make(verdicts(settings(server.url, chat={"max_calls": 100, "max_new_tokens": 10})), str(tmp_path))
    said = "asking 'scripted' about 21 pairs x 3 samples = 63 questions: 0 were answered before, 63 are to be asked"
    assert said in caplog.text
    assert "630 or less in replies); budget: 100 calls, any number of tokens" in caplog.text


def test_exhausted_budget_keeps_what_arrived_and_says_how_to_go_on(server, tmp_path, caplog):
    with pytest.raises(BudgetExhausted, match="at most 40 calls.*raise max_calls and run the same command again"):
        make(verdicts(settings(server.url, chat={"max_calls": 40})), str(tmp_path))
    assert "max_calls: expected 63 or more, got 40" in caplog.text
    assert server.calls == 40
    make(verdicts(settings(server.url, chat={"max_calls": 23})), str(tmp_path))
    assert server.calls == NUM_PAIRS * 3
    assert set(server.asked.values()) == {1}


def test_endpoint_that_fails_for_good_keeps_what_arrived(tmp_path):
    faults = {"on": True}

    def fault(user: str, before: int) -> str | None:
        return "unknown" if faults["on"] and "question q3" in user else None

    with LlmServer(fault=fault).serving() as server:
        with pytest.raises(ChatUnavailable, match="HTTP 404"):
            make(verdicts(settings(server.url)), str(tmp_path))
        faults["on"] = False
        make(verdicts(settings(server.url)), str(tmp_path))
    again = {user for (user, _), count in server.asked.items() if count > 1}
    assert all("question q3" in user for user in again)


@pytest.mark.slow
def test_killed_judge_asks_exactly_the_missing_questions(tmp_path):
    root = tmp_path / "store"
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests'}"}

    with LlmServer(fault=lambda user, before: "slow").serving() as server:
        server.slow_seconds = 0.03
        command = [sys.executable, "-m", "support.judge_data", str(root), server.url]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while server.calls < 30 and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        output, _ = process.communicate()
        assert process.returncode == -signal.SIGKILL, output
        assert not list(root.glob("verdicts/*/*/manifest.json"))
        kept = journal_of(root)
        asked_before = Counter(server.asked)
        assert 0 < len(kept) < NUM_PAIRS * 3
        server.slow_seconds = 0.0
        table = make(verdicts(settings(server.url)), str(root))
    asked_again = server.asked - asked_before
    assert len(table) == NUM_PAIRS * 3
    assert set(asked_again.values()) == {1}
    assert len(asked_again) == NUM_PAIRS * 3 - len(kept)  # exactly the missing ones
    twice = sum(count > 1 for count in server.asked.values())
    assert twice == sum(asked_before.values()) - len(kept) <= 4  # under way or about to be stored when it was killed
    assert storage.load(verdicts(settings(server.url)).ref(str(root))).content == undisturbed(tmp_path / "other")


def journal_of(root: Path) -> list[str]:
    with storage.open_journal(str(root), "replies-sw") as journal:
        return [key for key in journal._places]


def undisturbed(root: Path) -> str:
    with LlmServer().serving() as server:
        step = verdicts(settings(server.url))
        make(step, str(root))
    return storage.load(step.ref(str(root))).content
