"""Positive-driven back-forward generation: query and positive -> summary (back) -> new query (forward)."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from tasks.models.chat import ChatModel, Reply, Request
from tasks.supplement.languages import Language, load_languages
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


def generate_queries(
    shorts: Sequence[Short],
    model: ChatModel,
    *,
    language: str,
    name: str,
    max_generated: int,
    negatives_each: int,
    max_passage_characters: int,
    max_summary_characters: int,
    max_query_characters: int,
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
        max_passage_characters: positives are cut here.
        max_summary_characters: a longer summary is bad.
        max_query_characters: a longer query is bad.
        seed: attempt k samples with seed + k.
        progress: is told how many answers are newly there.

    Returns:
        generated: a row per attempt, good or bad, and one with the attempt 0 for a query without a positive; sorted by
        parent and attempt. A good row's query_id is `<parent>~<attempt>`; `replies.py` lists the reasons of bad ones.

    Source: METHOD 3.4; ours: several attempts, over several positives, and a check of every answer.
    """
    prompts = load_languages()[language]
    made: dict[str, list[_Attempt]] = {short.query_id: [] for short in shorts}
    while planned := list(_plan(shorts, made, max_generated, negatives_each)):
        for attempt in planned:
            made[attempt.short.query_id].append(attempt)
        back = [_back(attempt, prompts, max_passage_characters, seed) for attempt in planned]
        for place, reply in model.complete(back):
            passage = planned[place].positive[1][:max_passage_characters]
            _take_summary(planned[place], reply, language, passage, max_summary_characters)
            progress(1)
        summarised = [attempt for attempt in planned if attempt.summary is not None]
        forward = [_forward(attempt, prompts, seed) for attempt in summarised]
        for place, reply in model.complete(forward):
            summarised[place].replies.append(reply)
            progress(1)
        for attempt in summarised:  # in order, as whether one repeats another must not depend on which came first
            earlier = [one.text for one in made[attempt.short.query_id] if one.text is not None]
            _take_query(attempt, earlier, language, max_query_characters)
    rows = [_row(attempt, name) for attempts in made.values() for attempt in attempts]
    rows += [_without_positive(short, name) for short in shorts if not short.positives]
    return pl.DataFrame(rows, schema=GENERATED, orient="row").sort("parent", "attempt")


def count_attempts(shorts: Sequence[Short], *, negatives_each: int, most: int) -> int:
    """Count the attempts that are made if every one is good."""
    return sum(min(math.ceil(short.missing / negatives_each), most) for short in shorts if short.positives)


def _plan(
    shorts: Sequence[Short], made: dict[str, list[_Attempt]], max_generated: int, negatives_each: int
) -> Iterator[_Attempt]:
    for short in shorts:
        attempts = made[short.query_id]
        wanted = math.ceil(short.missing / negatives_each) - sum(one.text is not None for one in attempts)
        for number in range(len(attempts) + 1, min(len(attempts) + wanted, max_generated) + 1):
            if short.positives:
                yield _Attempt(short, number)


def _back(attempt: _Attempt, prompts: Language, max_characters: int, seed: int) -> Request:
    passage = attempt.positive[1][:max_characters]
    user = prompts.back.format(query=attempt.short.text, passage=passage)
    return Request(prompts.system, user, seed + attempt.number)


def _forward(attempt: _Attempt, prompts: Language, seed: int) -> Request:
    return Request(prompts.system, prompts.forward.format(summary=attempt.summary), seed + attempt.number)


def _take_summary(attempt: _Attempt, reply: Reply, language: str, passage: str, max_characters: int) -> None:
    attempt.replies.append(reply)
    source = f"{passage} {attempt.short.text}"
    try:
        attempt.summary = parse_summary(reply.text, language=language, source=source, max_characters=max_characters)
    except BadReply as bad:
        attempt.reason = str(bad)


def _take_query(attempt: _Attempt, earlier: Sequence[str], language: str, max_characters: int) -> None:
    try:
        attempt.text = parse_query(
            attempt.replies[-1].text,
            language=language,
            original=attempt.short.text,
            earlier=earlier,
            max_characters=max_characters,
        )
    except BadReply as bad:
        attempt.reason = str(bad)


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
