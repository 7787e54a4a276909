"""The endpoint client against a real HTTP server: what it asks, how it bears faults, what it may cost."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.llm_server import LlmServer

from tasks.models.chat import BudgetExhausted, ChatUnavailable, Reply, Request
from tasks.models.chat.budget import Budget, estimate_tokens
from tasks.models.chat.client import open_chat
from tasks.models.chat.config import ChatConfig
from tasks.models.chat.endpoint import Endpoint

REQUESTS = [Request("Judge.", f"question {number}", seed) for number in range(4) for seed in (1, 2)]


def endpoint(server: LlmServer, budget: Budget | None = None, **settings: Any) -> Endpoint:
    given = {
        "model": "scripted",
        "api_key": "sk-secret",
        "temperature": 0.5,
        "max_new_tokens": 20,
        "max_concurrency": 4,
        "timeout_seconds": 5.0,
        "max_retries": 2,
        "first_wait_seconds": 0.001,
    }
    return Endpoint(base_url=server.url, budget=budget or Budget(), **given | settings)


def faulty(*faults: str) -> Callable[[str, int], str | None]:
    """The first tries of `question 0` with seed 1 go wrong one after the other."""
    return lambda user, before: faults[before] if user == "question 0" and before < len(faults) else None


def test_endpoint_answers_every_request_once():
    with LlmServer(lambda system, user, seed: f"{system} {user} {seed}").serving() as server:
        replies = dict(endpoint(server).complete(REQUESTS))
    assert replies == {n: Reply(f"Judge. {one.user} {one.seed}", 100, 10) for n, one in enumerate(REQUESTS)}
    assert set(server.asked.values()) == {1}


def test_endpoint_sends_model_messages_sampling_and_key():
    with LlmServer().serving() as server:
        list(endpoint(server).complete(REQUESTS[:1]))
    assert server.bodies == [
        {
            "model": "scripted",
            "messages": [{"role": "system", "content": "Judge."}, {"role": "user", "content": "question 0"}],
            "temperature": 0.5,
            "max_tokens": 20,
            "seed": 1,
        }
    ]
    assert server.keys == ["Bearer sk-secret"]


def test_endpoint_without_requests_asks_nothing():
    with LlmServer().serving() as server:
        assert list(endpoint(server).complete([])) == []
    assert server.calls == 0


def test_endpoint_asks_side_by_side_within_its_bound():
    with LlmServer(fault=lambda user, before: "slow").serving() as server:
        server.slow_seconds = 0.1
        assert len(list(endpoint(server, max_concurrency=3).complete(REQUESTS))) == len(REQUESTS)
    assert server.most_at_once == 3


@pytest.mark.parametrize("fault", ["too_many", "broken", "cut", "slow", "not_json", "not_a_completion"])
def test_endpoint_tries_again_after(fault):
    with LlmServer(fault=faulty(fault, fault)).serving() as server:
        replies = dict(endpoint(server, timeout_seconds=0.4).complete(REQUESTS[:1]))
    assert replies[0].text.startswith('{"accuracy"')
    assert server.calls == 3


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("too_many", "HTTP 429 .*slow down"),
        ("broken", "HTTP 500 .*overloaded"),
        ("cut", "RemoteProtocolError"),
        ("slow", "nothing within 0.2 s"),
        ("not_json", "no chat completion .*gateway"),
        ("not_a_completion", "no chat completion"),
    ],
)
def test_endpoint_gives_up_when_tries_are_used_up(fault, said):
    with LlmServer(fault=faulty(*[fault] * 9)).serving() as server:
        model = endpoint(server, timeout_seconds=0.2)
        with pytest.raises(ChatUnavailable, match=rf"expected a reply, got .*{said}.* at try 3.*run the same command"):
            list(model.complete(REQUESTS[:1]))
    assert server.calls == 3


@pytest.mark.parametrize(
    ("fault", "said"),
    [("unauthorized", "HTTP 401.*api_key_variable"), ("unknown", "HTTP 404.*no such model.*Check base_url")],
)
def test_endpoint_does_not_try_again_when_settings_are_wrong(fault, said):
    server = LlmServer(fault=faulty(*[fault] * 9))
    with server.serving(), pytest.raises(ChatUnavailable, match=said) as raised:
        list(endpoint(server).complete(REQUESTS[:1]))
    assert server.calls == 1
    assert "sk-secret" not in str(raised.value)


@pytest.mark.parametrize(("fault", "text"), [("refused", "I cannot judge this."), ("filtered", "content_filter")])
def test_endpoint_takes_a_refusal_for_a_reply(fault, text):
    with LlmServer(fault=faulty(fault)).serving() as server:
        ((_, reply),) = endpoint(server).complete(REQUESTS[:1])
    assert text in reply.text
    assert server.calls == 1


def test_endpoint_waits_as_long_as_the_server_asks():
    with LlmServer(fault=faulty("too_many"), retry_after="1").serving() as server:
        started = time.monotonic()
        list(endpoint(server).complete(REQUESTS[:1]))
    assert time.monotonic() - started >= 1.0


def test_endpoint_yields_what_arrived_before_a_failure():
    def broken_later(user: str, before: int) -> str | None:
        return "unknown" if user == "question 3" else None

    with LlmServer(fault=broken_later).serving() as server:
        replies = endpoint(server, max_concurrency=1).complete(REQUESTS)
        arrived = [next(replies)[0] for _ in range(6)]
        with pytest.raises(ChatUnavailable, match="404"):
            next(replies)
    assert arrived == [0, 1, 2, 3, 4, 5]
    assert server.calls == 7  # and nothing was asked after the failure


def test_endpoint_that_does_not_listen_is_named():
    with LlmServer().serving() as server:
        url = server.url
    with pytest.raises(ChatUnavailable, match=f"{url}/chat/completions, model 'scripted'.*ConnectError"):
        list(endpoint(server).complete(REQUESTS[:1]))


def test_leaving_early_sends_nothing_more():
    with LlmServer(fault=lambda user, before: "slow").serving() as server:
        server.slow_seconds = 0.05
        replies = endpoint(server, max_concurrency=1).complete(REQUESTS)
        next(replies)
        replies.close()  # type: ignore[attr-defined]
        asked = server.calls
        time.sleep(0.2)
    assert server.calls == asked <= 2


def test_budget_of_calls_counts_every_try():
    with LlmServer(fault=faulty("broken")).serving() as server:
        replies = endpoint(server, Budget(max_calls=4), max_concurrency=1).complete(REQUESTS)
        assert [next(replies)[0] for _ in range(3)] == [0, 1, 2]
        with pytest.raises(BudgetExhausted, match="at most 4 calls.*after 4 calls.*raise max_calls and run the same"):
            next(replies)
    assert server.calls == 4


def test_budget_of_tokens_counts_requests_under_way_at_their_estimate():
    reserved = estimate_tokens(REQUESTS[0]) + 150  # 110 are used: room for one more once five have been answered
    budget = Budget(max_tokens=5 * 110 + reserved)
    with LlmServer().serving() as server:
        replies = endpoint(server, budget, max_concurrency=8, max_new_tokens=150).complete(REQUESTS)
        arrived = [next(replies)[0] for _ in range(6)]
        with pytest.raises(BudgetExhausted, match="after 6 calls and 660 tokens.*raise max_tokens"):
            next(replies)
    assert sorted(arrived) == [0, 1, 2, 3, 4, 5]
    assert server.calls == 6


def test_open_chat_reads_the_key_from_the_named_variable(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-other\n")
    with LlmServer(lambda system, user, seed: json.dumps("fine")).serving() as server:
        config = ChatConfig(model="m", base_url=server.url, api_key_variable="MY_KEY")
        list(open_chat(config, device="cpu", batch_tokens=64).complete(REQUESTS[:1]))
    assert server.keys == ["Bearer sk-other"]
    assert "sk-other" not in repr(config)


def test_open_chat_rejects_an_adapter_for_an_endpoint(tmp_path):
    with pytest.raises(ValueError, match="expected a local model for the adapter"):
        open_chat(ChatConfig(model="m"), device="cpu", batch_tokens=64, adapter=tmp_path)
