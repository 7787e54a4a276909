"""What judging will cost, said before it starts."""

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.models.chat import Request
from tasks.models.chat.budget import Budget, estimate_tokens
from tasks.models.chat.memory import RememberingChat


@dataclass(frozen=True)
class Cost:
    """The questions of a build."""

    questions: int
    asked: int
    """Those that were never answered, each once."""
    prompt_tokens: int
    """Of the questions to ask, estimated."""


def estimate_cost(questions: Iterable[Request], chat: RememberingChat) -> Cost:
    """Count the questions, and those of them that `chat` does not remember."""
    total, prompt_tokens = 0, 0
    unknown: set[str] = set()
    for request in questions:
        total += 1
        key = chat.key(request)
        if key not in unknown and not chat.knows(request):
            unknown.add(key)
            prompt_tokens += estimate_tokens(request)
    return Cost(total, len(unknown), prompt_tokens)


def state_cost(
    cost: Cost, *, model: str, num_samples: int, max_new_tokens: int, max_calls: int | None, max_tokens: int | None
) -> str:
    """Put the cost and the budget into one line for the log."""
    replies = cost.asked * max_new_tokens
    return (
        f"asking '{model}' about {cost.questions // num_samples:,} pairs x {num_samples} samples = "
        f"{cost.questions:,} questions: {cost.questions - cost.asked:,} were answered before, {cost.asked:,} are to "
        f"be asked (about {cost.prompt_tokens:,} tokens in prompts, {replies:,} or less in replies); "
        f"budget: {Budget(max_calls=max_calls, max_tokens=max_tokens)}"
    )


def shortfall(cost: Cost, *, max_new_tokens: int, max_calls: int | None, max_tokens: int | None) -> str | None:
    """Say in what the budget may fall short; None where it suffices, but for tries that fail."""
    if max_calls is not None and cost.asked > max_calls:
        return f"max_calls: expected {cost.asked:,} or more, got {max_calls:,}. It will stop there; replies are kept."
    most = cost.prompt_tokens + cost.asked * max_new_tokens
    if max_tokens is not None and most > max_tokens:
        return f"max_tokens: expected {most:,} to be sure, got {max_tokens:,}. It may stop there; replies are kept."
    return None
