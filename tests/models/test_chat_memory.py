"""Remembered replies, and the budget."""

from dataclasses import replace

import pytest

from storage import Journal
from tasks.models.chat import BudgetExhausted, Reply, Request
from tasks.models.chat.budget import Budget, estimate_tokens
from tasks.models.chat.memory import RememberingChat

ONE, TWO = Request("s", "one", 0), Request("s", "two", 0)


class Parrot:
    """Repeats the question; keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def complete(self, requests):
        for position, request in reversed(list(enumerate(requests))):
            self.asked.append(request)
            yield position, Reply(f"{request.user}!", 1, 1)


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.jsonl") as opened:
        yield opened


def remembering(parrot, journal, **settings):
    given = {"identity": "parrot", "temperature": 0.5, "max_tokens": 9}
    return RememberingChat(lambda: parrot, journal, **given | settings)


def test_asks_only_what_it_does_not_remember(journal):
    parrot = Parrot()
    assert dict(remembering(parrot, journal).complete([ONE])) == {0: Reply("one!", 1, 1)}
    replies = dict(remembering(parrot, journal).complete([TWO, ONE]))
    assert replies == {0: Reply("two!", 1, 1), 1: Reply("one!", 1, 1)}
    assert parrot.asked == [ONE, TWO]


def test_asks_an_equal_question_once(journal):
    parrot = Parrot()
    replies = dict(remembering(parrot, journal).complete([ONE, TWO, ONE]))
    assert [replies[n].text for n in range(3)] == ["one!", "two!", "one!"]
    assert sorted(request.user for request in parrot.asked) == ["one", "two"]


def test_opens_the_model_only_when_there_is_something_to_ask(journal):
    list(remembering(Parrot(), journal).complete([ONE]))

    def never():
        raise AssertionError("expected no model")

    chat = RememberingChat(never, journal, identity="parrot", temperature=0.5, max_tokens=9)
    assert list(chat.complete([ONE])) == [(0, Reply("one!", 1, 1))]


def test_keeps_each_reply_before_it_yields_it(journal):
    replies = remembering(Parrot(), journal).complete([ONE, TWO])
    next(replies)
    assert len(journal.path.read_text(encoding="utf-8").splitlines()) == 1


@pytest.mark.parametrize("changed", [{"identity": "crow"}, {"temperature": 0.6}, {"max_tokens": 8}])
def test_another_model_or_sampling_is_another_question(journal, changed):
    list(remembering(Parrot(), journal).complete([ONE]))
    assert not remembering(Parrot(), journal, **changed).knows(ONE)


@pytest.mark.parametrize("changed", [{"system": "t"}, {"user": "x"}, {"seed": 1}])
def test_another_prompt_or_seed_is_another_question(journal, changed):
    list(remembering(Parrot(), journal).complete([ONE]))
    chat = remembering(Parrot(), journal)
    assert chat.knows(ONE)
    assert not chat.knows(replace(ONE, **changed))


def test_budget_admits_up_to_its_calls():
    budget = Budget(max_calls=2)
    assert budget.admit(5)
    assert budget.admit(5)
    assert not budget.admit(5)  # two are under way
    budget.settle(5, 4)
    budget.settle(5, 4)
    with pytest.raises(BudgetExhausted, match="at most 2 calls, got a request for more after 2 calls and 8 tokens"):
        budget.admit(5)


def test_budget_gives_back_what_was_reserved_and_not_used():
    budget = Budget(max_tokens=10)
    assert budget.admit(8)
    assert not budget.admit(8)
    budget.settle(8, 2)
    assert budget.admit(8)
    budget.settle(8, 8)
    with pytest.raises(BudgetExhausted, match="at most 10 tokens.*raise max_tokens and run the same command again"):
        budget.admit(1)


def test_budget_without_bounds_admits_everything():
    budget = Budget()
    assert all(budget.admit(10**9) for _ in range(1000))
    assert str(budget) == "any number of calls, any number of tokens"
    assert str(Budget(max_calls=1000, max_tokens=20_000)) == "1,000 calls, 20,000 tokens"


def test_tokens_are_estimated_by_bytes():
    assert estimate_tokens(Request("abc", "defg", 0)) == 3
    assert estimate_tokens(Request("", "ไทย", 0)) == 3
