"""What asking an LLM may cost: calls and tokens, reserved before a request is sent and settled when it is answered."""

import math

from tasks.models.chat import BudgetExhausted, Request

_BYTES_PER_TOKEN = 3  # of UTF-8: about right for Latin script (4) and for scripts of three bytes a character (2 to 6)


class Budget:
    """Counts one build's calls and tokens against their bounds; None is no bound.

    Every request that is sent counts as a call, tries that fail too. Tokens of a request under way are reserved at
    their estimate: only where that is too low can the bound be passed, by what the requests under way were short.
    """

    def __init__(self, *, max_calls: int | None = None, max_tokens: int | None = None) -> None:
        self.max_calls = max_calls
        self.max_tokens = max_tokens
        self.calls = 0
        self.tokens = 0
        self._under_way = 0
        self._reserved = 0

    def admit(self, tokens: int) -> bool:
        """Reserve one call of so many tokens.

        Returns:
            Whether it may be sent now. If not, requests under way may turn out cheaper than they were reserved for.

        Raises:
            BudgetExhausted: it does not fit, and nothing is under way any more.
        """
        fits_calls = self.max_calls is None or self.calls < self.max_calls
        fits_tokens = self.max_tokens is None or self.tokens + self._reserved + tokens <= self.max_tokens
        if fits_calls and fits_tokens:
            self.calls += 1
            self._under_way += 1
            self._reserved += tokens
            return True
        if self._under_way:
            return False
        name, allowed = ("max_tokens", self.max_tokens) if fits_calls else ("max_calls", self.max_calls)
        raise BudgetExhausted(
            f"LLM budget: expected at most {allowed:,} {name.removeprefix('max_')}, got a request for more after "
            f"{self.calls:,} calls and {self.tokens:,} tokens. All replies so far are kept: raise {name} and run the "
            "same command again."
        )

    def settle(self, reserved: int, used: int) -> None:
        """Note that a request came to its end: what it had reserved, and the tokens that it used."""
        self._under_way -= 1
        self._reserved -= reserved
        self.tokens += used

    def __str__(self) -> str:
        """Both bounds, for people."""
        calls = "any number of calls" if self.max_calls is None else f"{self.max_calls:,} calls"
        tokens = "any number of tokens" if self.max_tokens is None else f"{self.max_tokens:,} tokens"
        return f"{calls}, {tokens}"


def estimate_tokens(request: Request) -> int:
    """Estimate the tokens of a prompt without its model's tokenizer."""
    return math.ceil((len(request.system.encode()) + len(request.user.encode())) / _BYTES_PER_TOKEN)
