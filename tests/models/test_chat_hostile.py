"""What a broken or hostile endpoint sends: bounded, in one line, and what it cost is counted."""

import gzip
import json
import time
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import pytest
from support.llm_server import LlmServer

from tasks.models.chat import ChatUnavailable, Request
from tasks.models.chat.answer import Trouble, read_answer
from tasks.models.chat.budget import Budget
from tasks.models.chat.client import open_chat
from tasks.models.chat.config import ChatConfig
from tasks.models.chat.endpoint import MAX_ANSWER_BYTES, Endpoint

QUESTION = [Request("Judge.", "question", 1)]
GOOD = json.dumps(
    {"choices": [{"message": {"content": "yes"}}], "usage": {"prompt_tokens": 100, "completion_tokens": 10}}
).encode()


def endpoint(server: LlmServer, budget: Budget | None = None, **settings: Any) -> Endpoint:
    given = {
        **{"model": "scripted", "api_key": "sk-secret", "temperature": 0.5, "max_new_tokens": 20},
        **{"max_concurrency": 1, "timeout_seconds": 20.0, "max_retries": 1, "first_wait_seconds": 0.001},
    }
    return Endpoint(base_url=server.url, budget=budget or Budget(), **given | settings)


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


BOMB = gzip.compress(b" " * (64 << 20))
HOSTILE = {
    "gzip bomb": (http(BOMB, "Content-Encoding: gzip"), r"more than 8,388,608 bytes"),
    "bomb in a bomb": (http(gzip.compress(BOMB), "Content-Encoding: gzip, gzip"), "no chat completion"),
    "packed as it does not say": (http(gzip.compress(GOOD)), "no chat completion"),
    "said to be packed": (http(GOOD, "Content-Encoding: gzip"), r"incorrect header check"),
    "packed in an unknown way": (http(b"\x8b\x00\x80", "Content-Encoding: br"), "incorrect header check"),
    "cut gzip": (http(gzip.compress(GOOD)[:-20], "Content-Encoding: gzip"), "no chat completion"),
    "UTF-16": (http(GOOD.decode().encode("utf-16")), "no chat completion"),
    "Latin-1": (http('{"choices":[{"message":{"content":"é"}}]}'.encode("latin-1")), "no chat completion"),
    "half a surrogate": (http(b'{"choices":[{"message":{"content":"\\ud800"}}]}'), "no chat completion"),
    "page of HTML": (http(b"<html>\n<body>\x1b[2J502</body>"), r"no chat completion \(<html> <body> \[2J502</body>\)"),
    "nothing": (http(b""), "no chat completion"),
    "nested": (http(b'{"choices":' * 200_000), "no chat completion"),
    "content that is no text": (http(b'{"choices":[{"message":{"content":{"a":1}}}]}'), "no chat completion"),
    "no message": (http(b'{"choices":[{}]}'), "no chat completion"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", "RemoteProtocolError"),
    "large head": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n", "RemoteProtocolError"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answer_is_one_line_and_its_budget_is_exact(name):
    answer, said = HOSTILE[name]
    budget = Budget(max_calls=2)
    with LlmServer(fault=lambda user, before: answer).serving() as server:
        with pytest.raises(ChatUnavailable, match=said) as raised:
            list(endpoint(server, budget).complete(QUESTION))
        assert server.calls == 2
    assert (budget.calls, budget.tokens) == (2, 0)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 800


def test_password_in_the_url_is_not_shown():
    with LlmServer(fault=lambda user, before: http(b"", status="403 Forbidden")).serving() as server:
        asked = endpoint(server)
        asked.url = asked.url.replace("//", "//me:hu@sh@")
        with pytest.raises(ChatUnavailable, match=f"^endpoint {server.url}/chat/completions, model .* got HTTP 403"):
            list(asked.complete(QUESTION))


def test_bomb_takes_no_more_memory_than_an_answer_may():
    with LlmServer(fault=lambda user, before: HOSTILE["gzip bomb"][0]).serving() as server:
        tracemalloc.start()
        try:
            with pytest.raises(ChatUnavailable):
                list(endpoint(server).complete(QUESTION))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 4 * MAX_ANSWER_BYTES


def test_endless_answer_is_left_at_the_bound():
    with LlmServer(fault=lambda user, before: "endless").serving() as server:
        with pytest.raises(ChatUnavailable, match="more than 8,388,608 bytes"):
            list(endpoint(server, max_retries=0).complete(QUESTION))
        assert server.bytes_sent < 64 << 20  # sockets hold some


def test_dripping_answer_ends_in_time():
    with LlmServer(fault=lambda user, before: "drip").serving() as server:
        began = time.monotonic()
        with pytest.raises(ChatUnavailable, match=r"nothing within 0\.5 s"):
            list(endpoint(server, timeout_seconds=0.5, max_retries=0).complete(QUESTION))
    assert time.monotonic() - began < 30  # to its end it takes 83 minutes


@pytest.mark.parametrize("status", ["301 Moved Permanently", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_redirect_is_not_followed_with_the_key(status):
    with LlmServer().serving() as other:
        moved = http(b"", f"Location: {other.url}/chat/completions", status=status)
        with LlmServer(fault=lambda user, before: moved).serving() as server:
            with pytest.raises(ChatUnavailable, match=f"HTTP {status[:3]}.*Check base_url"):
                list(endpoint(server).complete(QUESTION))
            assert server.calls == 1
        assert other.keys == []


def test_packed_answer_is_read():
    with LlmServer(fault=lambda user, before: http(gzip.compress(GOOD), "Content-Encoding: gzip")).serving() as server:
        ((_, reply),) = endpoint(server).complete(QUESTION)
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("yes", 100, 10)


@pytest.mark.parametrize(
    "usage", ["null", "{}", '"many"', '{"prompt_tokens":-900,"completion_tokens":1}', '{"prompt_tokens":1e18}']
)
def test_usage_that_is_no_count_is_estimated(usage):
    body = b'{"choices":[{"message":{"content":"yes"}}],"usage":%s}' % usage.encode()
    budget = Budget()
    with LlmServer(fault=lambda user, before: http(body)).serving() as server:
        ((_, reply),) = endpoint(server, budget).complete(QUESTION)
    assert (reply.prompt_tokens, reply.completion_tokens) == (5, 1)
    assert budget.tokens == 6


@pytest.mark.parametrize("content", ["null", '""'])
def test_reply_without_a_text_is_an_empty_one(content):
    body = b'{"choices":[{"message":{"content":%s}}]}' % content.encode()
    reply = read_answer(200, {}, body, now=datetime.now(UTC), prompt_tokens=5)
    assert not isinstance(reply, Trouble)
    assert reply.text == ""


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        *[("7", 7.0), (" 7 ", 7.0), ("1.5", 1.5), ("Thu, 01 Jan 2026 00:00:09 GMT", 9.0)],
        *[("-5", 0.0), ("", 0.0), ("soon", 0.0), ("²", 0.0), ("nan", 0.0), ("Thu, 01 Jan 2026 00:00:09", 0.0)],
        *[("Wed, 31 Dec 2025 23:59:59 GMT", 0.0), ("Wed, 31 Dec 99999999 23:59:59 GMT", 0.0)],
        *[("9" * 5000, float("inf")), ("Infinity", float("inf"))],
    ],
)
def test_retry_after_in_seconds_as_a_date_or_nonsense(given, seconds):
    answer = read_answer(429, {"retry-after": given}, b"", now=NOW, prompt_tokens=1)
    assert isinstance(answer, Trouble)
    assert answer.wait_seconds == pytest.approx(seconds)


def test_endless_wait_is_capped(monkeypatch):
    monkeypatch.setattr("tasks.models.chat.endpoint._LONGEST_ASKED_SECONDS", 0.01)
    with LlmServer(
        fault=lambda user, before: None if before else "too_many", retry_after="9" * 5000
    ).serving() as server:
        assert len(list(endpoint(server).complete(QUESTION))) == 1


def test_key_that_no_header_can_hold_is_refused_unshown(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-тайна")
    config = ChatConfig(model="m", api_key_variable="MY_KEY")
    with pytest.raises(ValueError, match="MY_KEY: expected a key in printable ASCII characters") as raised:
        open_chat(config, device="cpu", batch_tokens=64)
    assert "sk-" not in str(raised.value)
