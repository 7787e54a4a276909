"""The supplement in the whole pipeline, its generator a scripted server: what it adds, what it never asks again."""

import contextlib
import signal
import time

import polars as pl
import pytest
from support.generator_answers import back_forward, is_back
from support.llm_server import LlmServer

from storage import inspect
from storage.journal import Journal
from tasks.models.chat import Request
from tasks.models.chat.client import remembering_chat
from tasks.models.chat.config import ChatConfig

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(400)]

ENABLED = (
    "supplement.enabled=true",
    "supplement.chat.model=scripted",
    "supplement.negatives_each=30",
    "supplement.max_generated=2",
)


def settings(server, *changed):
    values = [*ENABLED, f"supplement.chat.base_url={server.url}", *changed]
    return [word for value in values for word in ("--set", value)]


def refuses_every_fourth(user, before):
    return "refused" if is_back(user) and sum(user.encode()) % 4 == 0 else None


@pytest.fixture(scope="module")
def supplemented(built):
    """The tiny pipeline, supplemented, once; the server goes on."""
    loom, _ = built
    with LlmServer(back_forward, refuses_every_fourth).serving() as server:
        answer = loom.run("tiny.yaml", *settings(server), "--until", "supplement")
        yield loom, server, answer


def read(loom, answer, kind, partition="en", stage=None):
    found = [
        entry
        for entry in answer["stages"]
        if entry["kind"] == kind and entry["partition"] == partition and stage in (None, entry["stage"])
    ]
    assert len(found) == 1
    return pl.read_parquet(loom.folder / "data" / kind / partition / found[0]["fingerprint"] / "part-*.parquet")


def built_kinds(answer):
    return {entry["kind"] for entry in answer["stages"] if entry["status"] == "built"}


def test_first_ledger_and_its_scores_are_not_built_again(supplemented):
    _, _, answer = supplemented
    assert {entry["stage"] for entry in answer["stages"] if entry["status"] == "built"} == {"supplement"}


def test_ledger_has_generated_rows_with_their_provenance(supplemented):
    loom, _, answer = supplemented
    first = read(loom, answer, "hard_negatives", stage="denoise")
    ledger = read(loom, answer, "hard_negatives", stage="supplement")
    given = ledger.filter(pl.col("origin") == "given")
    assert given.equals(first)
    assert first["origin"].unique().to_list() == ["given"]
    new = ledger.filter(pl.col("origin") == "generated")
    generated = read(loom, answer, "generated")
    asked = new.join(generated, left_on="generated_id", right_on="query_id", suffix="_generated")
    assert asked.height == new.height > 0
    assert asked.filter(pl.col("parent") != pl.col("query_id")).is_empty()
    assert asked.filter(pl.col("generated_text") != pl.col("text")).is_empty()
    assert new.filter(pl.col("decision") == "kept").height > 0


def test_ledger_has_no_pair_twice_and_keeps_no_positive(supplemented):
    loom, _, answer = supplemented
    ledger = read(loom, answer, "hard_negatives", stage="supplement")
    assert not ledger.select("query_id", "doc_id").is_duplicated().any()
    assert ledger.filter((pl.col("relevance") > 0) & (pl.col("decision") == "kept")).is_empty()
    kept = ledger.filter(pl.col("decision") == "kept").sort("query_id", "hardness")
    assert kept["hardness"].max() <= 30
    number = kept.select("query_id", "hardness", "origin").with_columns(
        place=pl.int_range(1, pl.len() + 1).over("query_id")
    )
    assert number.filter(pl.col("hardness") != pl.col("place")).is_empty()


def test_refused_questions_are_recorded_and_shortfalls_counted(supplemented):
    loom, _, answer = supplemented
    generated = read(loom, answer, "generated")
    bad = generated.filter(pl.col("status") == "bad")
    assert 0 < bad.height < generated.height
    assert bad["reason"].is_not_null().all()
    shortfalls = read(loom, answer, "shortfalls")
    ledger = read(loom, answer, "hard_negatives", stage="supplement")
    kept = ledger.filter(pl.col("decision") == "kept").group_by("query_id").len("num_kept")
    counted = shortfalls.join(kept, on="query_id", how="left").with_columns(pl.col("num_kept").fill_null(0))
    assert counted.filter(pl.col("num_missing") != 30 - pl.col("num_kept")).is_empty()


def test_generated_queries_are_those_of_their_language(supplemented):
    loom, _, answer = supplemented
    corpus = read(loom, answer, "corpus", "sw")
    generated = read(loom, answer, "generated", "sw").filter(pl.col("status") == "good")
    text = generated.join(corpus, on="doc_id")
    assert text.height == generated.height
    assert all(
        question.rstrip("?") in f"{title} {body}".replace("\n", " ")
        for question, title, body in text.select("text", "title", "text_right").rows()
    )


def test_second_run_asks_nothing_and_plans_batches_with_the_new_negatives(supplemented):
    loom, server, answer = supplemented
    calls = server.calls
    again = loom.run("tiny.yaml", *settings(server), "--until", "plan_batches")
    assert built_kinds(again) == {"batch_plan"}
    assert server.calls == calls
    plan = read(loom, again, "batch_plan", "all").filter(pl.col("language") == "en").explode("negatives")
    new = read(loom, answer, "hard_negatives", stage="supplement").filter(
        (pl.col("origin") == "generated") & (pl.col("decision") == "kept")
    )
    assert plan.join(new, left_on=["query_id", "negatives"], right_on=["query_id", "doc_id"]).height > 0


def remembered(loom, server):
    """The questions whose replies are on the disk."""
    config = ChatConfig(model="scripted", base_url=server.url)
    journals = sorted((loom.folder / "data" / "journals").glob("replies-*.jsonl"))
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(Journal(path)) for path in journals]
        chats = [remembering_chat(config, one, identity="scripted", device="cpu", batch_tokens=1) for one in found]
        asked = [(*(message["content"] for message in body["messages"]), body["seed"]) for body in server.bodies]
        return {
            (user, seed)
            for system, user, seed in asked
            if any(chat.knows(Request(system, user, seed)) for chat in chats)
        }


def test_killed_generation_asks_only_what_was_not_answered(supplemented):
    loom, server, _ = supplemented
    command = ("tiny.yaml", *settings(server, "supplement.seed=50"), "--until", "supplement")
    before = server.calls
    process = loom.start("run", *command)
    while process.poll() is None and server.calls < before + 40:
        time.sleep(0.001)
    assert process.poll() is None, process.communicate()[0]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed, stored = server.calls, remembered(loom, server)
    assert len([seed for _, seed in stored if seed > 50]) >= 40 - 2 * 8  # 8 under way, 8 on their way to the disk
    answer = loom.run(*command)
    twice = {question for question, count in server.asked.items() if count > 1}
    assert server.calls > killed
    assert not twice & stored
    assert "generated" in built_kinds(answer)


def test_changed_threshold_and_number_ask_nothing_and_score_no_pair_twice(supplemented):
    loom, server, _ = supplemented
    journals = sorted((loom.folder / "data" / "journals").glob("*.jsonl"))
    assert {path.name.partition("-")[0] for path in journals} == {"replies"}
    calls, sizes = server.calls, [path.stat().st_size for path in journals]
    before = {ref for ref, _ in inspect.datasets(str(loom.folder / "data"), "features")}
    changes = ("denoise.max_probability=0.1", "denoise.num_negatives=20")
    answer = loom.run("tiny.yaml", *settings(server, *changes), "--until", "supplement")
    assert "generated" in built_kinds(answer)
    assert server.calls == calls
    assert [path.stat().st_size for path in journals] == sizes
    new = [made for ref, made in inspect.datasets(str(loom.folder / "data"), "features") if ref not in before]
    assert new
    assert all(made.taken == made.rows for made in new)
