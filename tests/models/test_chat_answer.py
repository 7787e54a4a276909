"""What an HTTP answer of an endpoint means."""

import json
from datetime import UTC, datetime

import pytest

from tasks.models.chat import Reply
from tasks.models.chat.answer import Trouble, read_answer

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def read(status, content, headers=None):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_answer(status, headers or {}, body, now=NOW, prompt_tokens=7)


def completion(**message):
    return {"choices": [{"message": message}], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


@pytest.mark.parametrize(
    ("message", "text"),
    [({"content": "yes"}, "yes"), ({"content": None, "refusal": "no"}, "no"), ({"content": None}, ""), ({}, "")],
)
def test_completion_is_a_reply(message, text):
    assert read(200, completion(**message)) == Reply(text, 3, 2)


def test_tokens_are_estimated_where_the_server_counts_none():
    assert read(200, {"choices": [{"message": {"content": "123456"}}]}) == Reply("123456", 7, 2)


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_passing_trouble_is_worth_another_try(status):
    trouble = read(status, b"")
    assert trouble == Trouble(f"HTTP {status}", passing=True)


@pytest.mark.parametrize(
    ("status", "cure"),
    [(401, "key"), (403, "key"), (404, "base_url"), (400, "objects to"), (422, "objects to"), (301, "base_url")],
)
def test_trouble_of_the_settings_is_not(status, cure):
    trouble = read(status, b"said so")
    assert isinstance(trouble, Trouble)
    assert (trouble.passing, trouble.reason) == (False, f"HTTP {status} (said so)")
    assert cure in trouble.cure


@pytest.mark.parametrize(
    "content", [b"<html>", b"", b"\xff\xfe", {}, {"choices": []}, {"choices": [{"text": "x"}]}, [1]], ids=repr
)
def test_answer_that_is_no_completion_is_passing_trouble(content):
    trouble = read(200, content)
    assert isinstance(trouble, Trouble)
    assert trouble.passing
    assert "no chat completion" in trouble.reason


@pytest.mark.parametrize("code", ["content_filter", "context_length_exceeded"])
def test_server_s_refusal_of_one_prompt_is_a_reply(code):
    reply = read(400, {"error": {"code": code, "message": "not this"}})
    assert isinstance(reply, Reply)
    assert code in reply.text


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", 0.0),
        ("-3", 0.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(value, seconds):
    trouble = read(429, b"", {"retry-after": value})
    assert isinstance(trouble, Trouble)
    assert trouble.wait_seconds == seconds
