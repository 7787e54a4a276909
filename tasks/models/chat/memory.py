"""A ChatModel that remembers: a question that was ever answered is not asked again."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from tasks.models.chat import ChatModel, Reply, Request


class Memory(Protocol):
    """Where replies are kept: `storage.Journal`."""

    def __contains__(self, key: str) -> bool:
        """Say whether there is a record."""
        ...

    def get(self, key: str) -> dict[str, Any] | None:
        """Return a record, or None."""
        ...

    def add(self, key: str, record: dict[str, Any]) -> None:
        """Keep a record; it survives a kill once this returns."""
        ...


class RememberingChat:
    """A `ChatModel` in front of another one, which is opened only if there is something to ask."""

    def __init__(
        self, open_model: Callable[[], ChatModel], memory: Memory, *, identity: str, temperature: float, max_tokens: int
    ) -> None:
        """Put `memory` in front of a model.

        Args:
            open_model: makes the model; called once, at the first question that was never answered.
            memory: holds the replies.
            identity: which model answers, by name or digest.
            temperature: of its sampling.
            max_tokens: of its longest reply.
        """
        self._open_model = open_model
        self._memory = memory
        self._settings = [identity, temperature, max_tokens]
        self._model: ChatModel | None = None

    def key(self, request: Request) -> str:
        """Name a question by all that decides the answer: the model, how it samples, the prompt and the seed."""
        content = [*self._settings, request.system, request.user, request.seed]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()[:32]

    def knows(self, request: Request) -> bool:
        """Say whether the answer is remembered."""
        return self.key(request) in self._memory

    def complete(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        """Yield what is remembered, then ask for the rest, each question once; `ChatModel.complete`."""
        unknown: dict[str, list[int]] = {}
        for position, request in enumerate(requests):
            key = self.key(request)
            record = self._memory.get(key)
            if record is None:
                unknown.setdefault(key, []).append(position)
            else:
                yield position, Reply(**record)
        if not unknown:
            return
        if self._model is None:
            self._model = self._open_model()
        asked = list(unknown.items())
        for number, reply in self._model.complete([requests[positions[0]] for _, positions in asked]):
            key, positions = asked[number]
            self._memory.add(key, asdict(reply))
            for position in positions:
                yield position, reply
