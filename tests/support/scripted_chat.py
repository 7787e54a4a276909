"""A ChatModel that answers by a rule, for tests of what asks one; it notes what it was asked."""

import random
from collections.abc import Callable, Iterator, Sequence

from tasks.models.chat import Reply, Request


class ScriptedChat:
    """Answers with `rule(request)`, in an order that `seed` shuffles: replies arrive as they please."""

    def __init__(self, rule: Callable[[Request], str], *, seed: int = 0) -> None:
        self.rule = rule
        self.asked: list[Request] = []
        self._random = random.Random(seed)

    def complete(self, requests: Sequence[Request]) -> Iterator[tuple[int, Reply]]:
        """Answer all."""
        places = list(range(len(requests)))
        self._random.shuffle(places)
        for place in places:
            self.asked.append(requests[place])
            text = self.rule(requests[place])
            yield place, Reply(text, prompt_tokens=10, completion_tokens=len(text.split()))
