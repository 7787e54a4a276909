"""One HTTP answer of an OpenAI-compatible endpoint -> a Reply, or what is wrong with it and what to do."""

import email.utils
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field, ValidationError, ValidatorFunctionWrapHandler, field_validator

from tasks.models.chat import Reply

_PASSING = {408, 409, 425, 429}
_REFUSALS = {"content_filter", "content_policy_violation", "context_length_exceeded"}  # of one prompt, not of all
_MOST_TOKENS = 1 << 30  # of one answer
_SHOWN = 300  # characters of an answer that an error shows

RUN_AGAIN = "All replies so far are kept: see to the endpoint and run the same command again."


@dataclass(frozen=True)
class Trouble:
    """Why there is no reply."""

    reason: str
    passing: bool
    """Whether another try may help."""
    wait_seconds: float = 0.0
    """How long the server wants us to wait."""
    cure: str = RUN_AGAIN


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message


class _Usage(BaseModel):
    prompt_tokens: int = Field(ge=0, le=_MOST_TOKENS)
    completion_tokens: int = Field(ge=0, le=_MOST_TOKENS)


class _Answer(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None

    @field_validator("usage", mode="wrap")
    @classmethod
    def _or_none(cls, value: Any, read: ValidatorFunctionWrapHandler) -> _Usage | None:
        """Take a count that is none for no count: the reply is worth as much, and it is estimated."""
        try:
            return _Usage.model_validate(read(value))
        except ValidationError:
            return None


class _Error(BaseModel):
    code: str


class _Refusal(BaseModel):
    error: _Error


def read_answer(
    status: int, headers: Mapping[str, str], body: bytes, *, now: datetime, prompt_tokens: int
) -> Reply | Trouble:
    """Read what the server sent.

    A refusal is a reply, whether the model says it or the server refuses this one prompt (its content, its length). Too
    many requests, a fault of the server's (5xx) and an answer that is no chat completion are worth another try;
    what the settings are to blame for (401, 403, 404, other 4xx) is not.

    Args:
        status: of HTTP.
        headers: names in lower case; `retry-after` counts, in seconds or as a date.
        body: what followed.
        now: with time zone; what a date in `retry-after` is compared with.
        prompt_tokens: an estimate, for servers that count no tokens.
    """
    shown = _in_one_line(body)
    if status == 200:
        return _read_completion(body, shown, prompt_tokens)
    reason = f"HTTP {status}" + (f" ({shown})" if shown else "")
    if status in _PASSING or status >= 500:
        return Trouble(reason, passing=True, wait_seconds=_retry_after(headers.get("retry-after"), now))
    if status == 400 and _is_refusal(body):
        return Reply(text=shown, prompt_tokens=0, completion_tokens=0)
    if status in (401, 403):
        cure = "Check the key in the environment variable that api_key_variable names."
    elif status == 404 or status < 400:  # a redirect is not followed: the key is for this server
        cure = "Check base_url (up to /v1) and the model's name."
    else:
        cure = "Correct what the server objects to."
    return Trouble(reason, passing=False, cure=cure)


def _read_completion(body: bytes, shown: str, prompt_tokens: int) -> Reply | Trouble:
    try:
        answer = _Answer.model_validate_json(body)
    except ValidationError:
        return Trouble(f"an answer that is no chat completion ({shown})", passing=True)
    message = answer.choices[0].message
    text = message.content or message.refusal or ""
    if answer.usage is None:
        return Reply(text, prompt_tokens, len(text.encode()) // 3)
    return Reply(text, answer.usage.prompt_tokens, answer.usage.completion_tokens)


def _is_refusal(body: bytes) -> bool:
    try:
        return _Refusal.model_validate_json(body).error.code in _REFUSALS
    except ValidationError:
        return False


def _in_one_line(body: bytes) -> str:
    """Show the beginning of an answer, whatever it is, without what would move a terminal's cursor."""
    text = body[: 4 * _SHOWN].decode(errors="replace")[:_SHOWN]
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _retry_after(value: str | None, now: datetime) -> float:
    """Read the header's seconds or date; 0 where it is absent, past or neither."""
    try:
        seconds = float(value or 0)
    except ValueError:
        try:
            seconds = (email.utils.parsedate_to_datetime(str(value)) - now).total_seconds()
        except (TypeError, ValueError, OverflowError):
            return 0.0
    return seconds if seconds > 0 else 0.0
