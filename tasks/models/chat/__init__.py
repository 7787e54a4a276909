"""What every LLM client offers: chat requests in, replies as they arrive."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Request:
    """One question to an LLM."""

    system: str
    """How it is to answer."""
    user: str
    """What it is asked."""
    seed: int
    """Of the sampling: the same request with another seed is another sample."""

    @property
    def number(self) -> int:
        """A number of 63 bits that prompt and seed decide: equal seeds of different prompts give unrelated ones."""
        text = f"{self.seed}\0{self.system}\0{self.user}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True)
class Reply:
    """What came back. A refusal is a reply too; whoever asked decides what the text is worth."""

    text: str
    prompt_tokens: int
    completion_tokens: int


class ChatModel(Protocol):
    """An LLM: an endpoint over HTTP, or a network on this machine."""

    def complete(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        """Ask, and yield (position in `requests`, reply) as the replies arrive, in any order.

        Raises:
            ChatUnavailable: no reply to be had, after all retries; replies that arrived were yielded before.
            BudgetExhausted: the allowed calls or tokens are used up; replies that arrived were yielded before.
        """
        ...


class ChatUnavailable(RuntimeError):
    """The LLM does not answer."""


class BudgetExhausted(RuntimeError):
    """The LLM has cost what it may cost."""
