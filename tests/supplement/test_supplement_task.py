"""The steps on a store, the generator a real HTTP server: what is asked, when, and what is never asked again."""

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from support.generator_answers import back_forward
from support.llm_server import LlmServer
from support.loom import SURROUNDINGS
from support.steps import declare
from support.tiny_llm import write_tiny_llm

import storage
from tasks import steps
from tasks.engine.build import build, state
from tasks.engine.job import Job
from tasks.engine.step import Promise
from tasks.models.chat import BudgetExhausted, ChatUnavailable
from tasks.models.chat.client import chat_digest
from tasks.models.chat.config import ChatConfig
from tasks.steps import tune_generator
from tasks.supplement.config import TuneConfig

PLACES = ["Turku", "Nairobi", "Lima", "Kyoto", "Cairo", "Quito"]
STRING = pl.String


@declare(produces="corpus")
def write_corpus(job: Job) -> None:
    """Write a document about each place."""
    rows = [(f"d{n}", place, f"{place} is an old city with a harbour, number {n}.") for n, place in enumerate(PLACES)]
    job.out.write(pl.DataFrame(rows, schema=dict.fromkeys(["doc_id", "title", "text"], STRING), orient="row"))


@declare(produces="queries")
def write_queries(job: Job) -> None:
    """Write a train query about each place."""
    rows = [(f"q{n}", f"Where is {place}?", "train", "given", None) for n, place in enumerate(PLACES)]
    names = ["query_id", "text", "split", "origin", "parent"]
    job.out.write(pl.DataFrame(rows, schema=dict.fromkeys(names, STRING), orient="row"))


@declare(produces="qrels")
def write_qrels(job: Job) -> None:
    """Judge the document of each place relevant, but of the last."""
    rows = [(f"q{n}", f"d{n}", 1) for n in range(len(PLACES) - 1)]
    schema = {"query_id": STRING, "doc_id": STRING, "relevance": pl.Int32}
    job.out.write(pl.DataFrame(rows, schema=schema, orient="row"))


@declare(produces="hard_negatives")
def write_ledger(job: Job, *, kept: tuple[int, ...]) -> None:
    """Keep some negatives for each query."""
    rows = [(f"q{n}", f"n{m}", m, "kept", m) for n, number in enumerate(kept) for m in range(1, number + 1)]
    table = pl.DataFrame(rows, schema=["query_id", "doc_id", "rank", "decision", "hardness"], orient="row")
    columns = storage.SCHEMAS["hard_negatives"].names
    absent = [pl.lit(None).alias(name) for name in columns if name not in table.columns]
    job.out.write(table.with_columns(absent).select(columns))


def generating(server: LlmServer, *, kept=(0, 1, 2, 3, 4, 0), num_negatives=3, chat=None, **config) -> Promise:
    settings = {"model": "scripted", "base_url": server.url, **(chat or {})}
    return steps.generate_from_positives(
        "en",
        language="en",
        hard_negatives=write_ledger("en", kept=kept),
        queries=write_queries("en"),
        qrels=write_qrels("en"),
        corpus=write_corpus("en"),
        text="text",
        num_negatives=num_negatives,
        chat=ChatConfig(**settings),
        identity="scripted",
        **{"max_generated": 3, "negatives_each": 10, "seed": 0} | config,
    )


def make(step: Promise, root: Path) -> pl.DataFrame:
    for needed in step.inputs.values():
        make(needed, root)
    if not state(step, str(root)).cached:
        build(step, str(root), SURROUNDINGS)
    return storage.read(step.ref(str(root)))


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer(back_forward).serving() as running:
        yield running


def test_short_queries_alone_are_asked_for(server: LlmServer, tmp_path: Path):
    rows = make(generating(server), tmp_path)
    assert rows.select("parent", "status", "reason").rows() == [
        ("q0", "good", None),
        ("q1", "good", None),
        ("q2", "good", None),
        ("q5", "bad", "no_positive"),
    ]
    assert rows["text"][0] == "Turku is an old city with a harbour, number 0.?"
    assert rows["model"].unique().to_list() == ["scripted"]
    assert server.calls == 6
    assert set(server.asked.values()) == {1}
    system = server.bodies[0]["messages"][0]["content"]
    assert "English only" in system


@pytest.mark.parametrize(
    "changed",
    [
        {"kept": (1, 2, 2, 3, 4, 0)},  # another threshold: other negatives are missing
        {"num_negatives": 2},
        {"num_negatives": 1},
        {"chat": {"max_concurrency": 2, "max_calls": 1}},
    ],
)
def test_other_ledger_or_number_asks_nothing_again(server: LlmServer, tmp_path: Path, changed):
    make(generating(server), tmp_path)
    calls = server.calls
    rows = make(generating(server, **changed), tmp_path)
    assert rows.height > 0
    assert server.calls == calls


def test_newly_short_query_alone_is_asked_for(server: LlmServer, tmp_path: Path):
    make(generating(server), tmp_path)
    before = dict(server.asked)
    rows = make(generating(server, num_negatives=4), tmp_path)
    assert rows["parent"].to_list() == ["q0", "q1", "q2", "q3", "q5"]
    new = [user for (user, seed), _ in server.asked.items() if (user, seed) not in before]
    assert len(new) == 2
    assert all("Kyoto" in user for user in new)


def test_other_prompt_settings_or_model_are_asked_anew(server: LlmServer, tmp_path: Path):
    make(generating(server), tmp_path)
    make(generating(server, seed=1), tmp_path)
    make(generating(server, chat={"temperature": 0.1}), tmp_path)
    assert server.calls == 18


def test_server_that_fails_on_the_way_loses_no_answer(tmp_path: Path):
    failing = [True]
    fault = lambda user, before: "unknown" if failing[0] and "Lima" in user else None  # noqa: E731
    with LlmServer(back_forward, fault).serving() as server:
        step = generating(server, chat={"max_concurrency": 1})
        with pytest.raises(ChatUnavailable, match="expected a reply, got HTTP 404"):
            make(step, tmp_path)
        answered = {key for key in server.asked if "Lima" not in key[0]}
        failing[0] = False
        make(step, tmp_path)
        assert answered
        assert all(server.asked[key] == 1 for key in answered)


def test_exhausted_budget_is_an_error_and_a_larger_one_goes_on(server: LlmServer, tmp_path: Path):
    with pytest.raises(BudgetExhausted, match="expected at most 2 calls"):
        make(generating(server, chat={"max_calls": 2, "max_concurrency": 1}), tmp_path)
    assert server.calls == 2
    make(generating(server, chat={"max_calls": 4, "max_concurrency": 1}), tmp_path)
    assert server.calls == 6
    assert set(server.asked.values()) == {1}


def test_endpoint_and_place_of_the_model_are_not_in_the_fingerprint(server: LlmServer):
    first, second = generating(server), generating(server, chat={"base_url": "http://elsewhere/v1", "max_calls": 9})
    elsewhere = first.arguments["chat"].model_copy(update={"model": "elsewhere"})
    moved = steps.generate_from_positives("en", **{**first.arguments, "chat": elsewhere})
    other = steps.generate_from_positives("en", **{**first.arguments, "identity": "other"})
    assert first.fingerprint == second.fingerprint == moved.fingerprint != other.fingerprint


def test_tuned_local_generator_answers_with_its_adapter(server: LlmServer, tmp_path: Path):
    model = write_tiny_llm(tmp_path / "model", positions=512, deviation=0.3)
    (tmp_path / "say.jsonl").write_text(json.dumps({"instruction": "Summarise.", "output": "one two three"}))
    digest = chat_digest(str(model))
    tuned = tune_generator(
        chat=ChatConfig(client="local", model=str(model)),
        identity=digest,
        instructions=storage.file_digest(tmp_path / "say.jsonl"),
        config=TuneConfig(instructions=str(tmp_path / "say.jsonl"), learning_rate=0.05, num_epochs=8),
    )
    local = {
        "chat": ChatConfig(client="local", model=str(model), temperature=0.0, max_new_tokens=8),
        "identity": digest,
        "max_generated": 1,
    }
    arguments = {**generating(server).arguments, **local}
    plain = make(steps.generate_from_positives("en", **arguments), tmp_path / "store")
    adapted = make(steps.generate_from_positives("en", **arguments, adapter=tuned), tmp_path / "store")
    content = storage.load(tuned.ref(str(tmp_path / "store"))).content
    assert plain["model"].unique().to_list() == [f"local:{digest[:12]}"]
    assert adapted["model"].unique().to_list() == [f"local:{digest[:12]}+{content[:12]}"]
    assert plain["summary_reply"].to_list() != adapted["summary_reply"].to_list()
    assert adapted.filter(pl.col("status") == "bad")["reason"].is_not_null().all()
    assert server.calls == 0


def test_stages_after_it_take_good_queries_and_count_the_short_ones(server: LlmServer, tmp_path: Path):
    generated = generating(server)
    asked = make(steps.select_generated_queries("en", generated=generated), tmp_path)
    assert asked.select("query_id", "split", "origin", "parent").row(0) == ("q0~1", "train", "generated", "q0")
    after = write_ledger("en", kept=(3, 1, 2, 3, 4, 0))
    rows = make(
        steps.count_shortfalls(
            "en",
            language="en",
            before=write_ledger("en", kept=(0, 1, 2, 3, 4, 0)),
            after=after,
            generated=generated,
            queries=write_queries("en"),
            num_negatives=3,
        ),
        tmp_path,
    )
    assert rows.select("query_id", "num_generated", "num_missing", "reason").rows() == [
        ("q0", 3, 0, None),
        ("q1", 0, 2, "too_few_safe"),
        ("q2", 0, 1, "too_few_safe"),
        ("q5", 0, 3, "no_positive"),
    ]


def test_ledger_without_a_short_query_asks_nothing(server: LlmServer, tmp_path: Path):
    generated = generating(server, kept=(3,) * 6)
    assert make(generated, tmp_path).is_empty()
    assert make(steps.select_generated_queries("en", generated=generated), tmp_path).is_empty()
    assert server.calls == 0
