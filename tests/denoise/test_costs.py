"""What judging will cost, in words."""

from pathlib import Path

import pytest

from storage import Journal
from tasks.denoise.costs import Cost, estimate_cost, shortfall, state_cost
from tasks.models.chat import Request
from tasks.models.chat.memory import RememberingChat

REQUESTS = [Request("sys", "abc", seed) for seed in (0, 1)] + [Request("sys", "abcdef", 0)]


def test_cost_counts_what_is_new_once(tmp_path: Path):
    def never():
        raise AssertionError("expected nobody to be asked")

    with Journal(tmp_path / "journal") as journal:
        asker = RememberingChat(never, journal, identity="m", temperature=1.0, max_tokens=5)
        journal.add(asker.key(REQUESTS[0]), {"text": "", "prompt_tokens": 0, "completion_tokens": 0})
        assert estimate_cost([*REQUESTS, REQUESTS[2]], asker) == Cost(questions=4, asked=2, prompt_tokens=2 + 3)


def test_cost_is_stated_with_pairs_samples_tokens_and_budget():
    said = state_cost(
        Cost(3000, 2000, 1_000_000), model="m", num_samples=3, max_new_tokens=10, max_calls=50, max_tokens=None
    )
    assert said == (
        "asking 'm' about 1,000 pairs x 3 samples = 3,000 questions: 1,000 were answered before, 2,000 are to be asked "
        "(about 1,000,000 tokens in prompts, 20,000 or less in replies); budget: 50 calls, any number of tokens"
    )


@pytest.mark.parametrize(
    ("max_calls", "max_tokens", "said"),
    [
        (None, None, None),
        (10, 200, None),
        (9, 200, "max_calls: expected 10 or more, got 9"),
        (10, 199, "max_tokens: expected 200 to be sure, got 199"),
    ],
)
def test_budget_that_may_fall_short_is_named(max_calls, max_tokens, said):
    found = shortfall(Cost(20, 10, 100), max_new_tokens=10, max_calls=max_calls, max_tokens=max_tokens)
    assert found is None if said is None else said in found
