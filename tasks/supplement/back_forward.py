"""Positive-driven back-forward generation: query and positive -> summary (back) -> new query (forward)."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from tasks.models.chat import ChatModel, Reply, Request
from tasks.supplement.languages import Language, prompts_for
from tasks.supplement.replies import BadReply, parse_query, parse_summary

GENERATED = pl.Schema(
    {
        "query_id": pl.String,
        "parent": pl.String,
        "attempt": pl.Int32,
        "doc_id": pl.String,
        "summary": pl.String,
        "text": pl.String,
        "status": pl.String,
        "reason": pl.String,
        "model": pl.String,
        "summary_reply": pl.String,
        "query_reply": pl.String,
        "prompt_tokens": pl.Int32,
        "completion_tokens": pl.Int32,
    }
)


MAX_PASSAGE_CHARACTERS = 2000
"""Positives are cut here."""


@dataclass(frozen=True)
class Short:
    """A query that is short of negatives."""

    query_id: str
    text: str
    missing: int
    """Negatives that it lacks."""
    positives: Sequence[tuple[str, str]]
    """doc_id and text of its positives; attempts take them in turn."""


@dataclass
class _Attempt:
    short: Short
    number: int  # from 1
    replies: list[Reply] = field(default_factory=list)
    summary: str | None = None
    text: str | None = None
    reason: str | None = None

    @property
    def positive(self) -> tuple[str, str]:
        return self.short.positives[(self.number - 1) % len(self.short.positives)]

    @property
    def passage(self) -> str:
        return self.positive[1][:MAX_PASSAGE_CHARACTERS]

    def take_summary(self, reply: Reply, language: str) -> None:
        self.replies.append(reply)
        try:
            self.summary = parse_summary(reply.text, language=language, source=f"{self.passage} {self.short.text}")
        except BadReply as bad:
            self.reason = str(bad)

    def take_query(self, earlier: Sequence[str], language: str) -> None:
        text = self.replies[-1].text
        try:
            self.text = parse_query(text, language=language, original=self.short.text, earlier=earlier)
        except BadReply as bad:
            self.reason = str(bad)


def generate_queries(
    shorts: Sequence[Short],
    model: ChatModel,
    *,
    language: str,
    name: str,
    max_generated: int,
    negatives_each: int,
    seed: int,
    progress: Callable[[int], None],
) -> pl.DataFrame:
    """Write new queries for queries that are short of negatives.

    A query that lacks n negatives gets ceil(n / negatives_each) new queries; one that fails is tried anew, with the
    next positive and the next seed, up to `max_generated` attempts in all. An attempt's questions follow from the
    query, the positive and the attempt's number alone: another n asks the same questions, more or fewer of them.

    Args:
        shorts: the queries, of one language.
        model: the generator.
        language: whose prompts are used, and that answers must be in.
        name: of the generator, for the record.
        max_generated: attempts per query, at most.
        negatives_each: negatives that a new query is expected to bring.
        seed: attempt k samples with seed + k.
        progress: is told how many answers are newly there.

    Returns:
        generated: a row per attempt, good or bad, and one with the attempt 0 for a query without a positive; sorted by
        parent and attempt. A good row's query_id is `<parent>~<attempt>`; `replies.py` lists the reasons of bad ones.

    Source: docs/method.md 3.4; ours: several attempts, over several positives, and a check of every answer.
    """
    prompts = prompts_for(language)
    attempts: dict[str, list[_Attempt]] = {short.query_id: [] for short in shorts}
    while new := list(_next_attempts(shorts, attempts, max_generated, negatives_each)):
        for attempt in new:
            attempts[attempt.short.query_id].append(attempt)
        for place, reply in model.complete([_ask_summary(attempt, prompts, seed) for attempt in new]):
            new[place].take_summary(reply, language)
            progress(1)
        summarised = [attempt for attempt in new if attempt.summary is not None]
        for place, reply in model.complete([_ask_query(attempt, prompts, seed) for attempt in summarised]):
            summarised[place].replies.append(reply)
            progress(1)
        for attempt in summarised:  # in order, as whether one repeats another must not depend on which came first
            attempt.take_query([one.text for one in attempts[attempt.short.query_id] if one.text is not None], language)
    rows = [_row(attempt, name) for several in attempts.values() for attempt in several]
    rows += [_without_positive(short, name) for short in shorts if not short.positives]
    return pl.DataFrame(rows, schema=GENERATED, orient="row").sort("parent", "attempt")


def count_attempts(shorts: Sequence[Short], *, negatives_each: int, most: int) -> int:
    """Count the attempts that are made if every one is good."""
    return sum(min(math.ceil(short.missing / negatives_each), most) for short in shorts if short.positives)


def _next_attempts(
    shorts: Sequence[Short], attempts: dict[str, list[_Attempt]], max_generated: int, negatives_each: int
) -> Iterator[_Attempt]:
    for short in shorts:
        tried = attempts[short.query_id]
        missing = math.ceil(short.missing / negatives_each) - sum(one.text is not None for one in tried)
        for number in range(len(tried) + 1, min(len(tried) + missing, max_generated) + 1):
            if short.positives:
                yield _Attempt(short, number)


def _ask_summary(attempt: _Attempt, prompts: Language, seed: int) -> Request:
    user = prompts.back.format(query=attempt.short.text, passage=attempt.passage)
    return Request(prompts.system, user, seed + attempt.number)


def _ask_query(attempt: _Attempt, prompts: Language, seed: int) -> Request:
    return Request(prompts.system, prompts.forward.format(summary=attempt.summary), seed + attempt.number)


def _row(attempt: _Attempt, name: str) -> tuple[object, ...]:
    parent = attempt.short.query_id
    texts = [reply.text for reply in attempt.replies]
    return (
        f"{parent}~{attempt.number}",
        parent,
        attempt.number,
        attempt.positive[0],
        attempt.summary,
        attempt.text,
        "bad" if attempt.text is None else "good",
        attempt.reason,
        name,
        texts[0],
        texts[1] if len(texts) > 1 else None,
        sum(reply.prompt_tokens for reply in attempt.replies),
        sum(reply.completion_tokens for reply in attempt.replies),
    )


def _without_positive(short: Short, name: str) -> tuple[object, ...]:
    parent = short.query_id
    nothing = (None, None, None)
    return (f"{parent}~0", parent, 0, *nothing, "bad", "no_positive", name, None, None, 0, 0)
