"""Which queries atlas asks, and what its annotators found: documents -> queries with their judgements."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.ingest.atlas.plan import STATES, Document, Entity, Fact, subject_kind

ASKS = ("currency", "users", "official", "speakers", "code", "region", "weekend", "week_start", "zone", "script")
"""Kinds of question. Each asks for the values of the statement of the same kind (see `plan.STATES`)."""

MOST_RELEVANT = 8
"""A query that more documents than this answer is too easy to teach anything, and is not asked."""

NEAR_MISSES = 3
"""Documents judged not relevant per query, at most: they name the subject and leave the question open."""


@dataclass(frozen=True)
class Query:
    """One question, its split, and the documents that were judged or should have been."""

    number: int
    split: str
    kind: str
    subject: str
    relevant: tuple[str, ...]
    """Keys of the documents that annotators found."""
    missed: tuple[str, ...]
    """Keys of the documents that answer, too: the planted false negatives."""
    near_misses: tuple[str, ...]
    """Keys of documents that annotators judged not relevant, rightly."""

    @property
    def entity(self) -> Entity:
        """What the question names."""
        return subject_kind(self.kind), self.subject


def answers(document: Document, kind: str, subject: str) -> bool:
    """Whether the document states an answer to the question."""
    return any(answers_with(fact, kind, subject) for fact in document.facts)


def answers_with(fact: Fact, kind: str, subject: str) -> bool:
    """Whether the fact is an answer to the question."""
    return (kind, subject) in _questions(fact)


def plan_queries(
    documents: Sequence[Document], *, counts: dict[str, int], judged: dict[str, float], rng: random.Random
) -> list[Query]:
    """Choose the queries and judge the documents for them.

    Kinds of question take turns, so that each has about the same share. Every query has at least one relevant and
    one missed document; all its answers are on the side of its split.

    Args:
        documents: the corpus.
        counts: split -> number of queries.
        judged: split -> share of the answering documents that the annotators found, 0..1.
        rng: draws subjects and judgements.

    Returns:
        The queries, numbered from 1 in a mixed order of splits.

    Raises:
        ValueError: the documents answer fewer distinct questions than asked for.
    """
    possible = _possible_questions(documents)
    chosen: list[tuple[str, str, str]] = []
    for split, count in sorted(counts.items()):
        turns = list(_take_turns(possible[split], rng))
        if len(turns) < count:
            raise ValueError(
                f"atlas: expected at most {len(turns)} {split} queries from {len(documents)} documents, got {count}. "
                "Ask for fewer queries_per_language or for more documents_per_language."
            )
        chosen += [(split, kind, subject) for kind, subject in turns[:count]]
    rng.shuffle(chosen)
    index = _mentions(documents)
    return [
        _judge(number, split, kind, subject, index[subject_kind(kind), subject], judged[split], rng)
        for number, (split, kind, subject) in enumerate(chosen, start=1)
    ]


def _possible_questions(documents: Sequence[Document]) -> dict[str, dict[str, list[str]]]:
    """Split -> kind -> subjects about which a question can be asked: 2 to MOST_RELEVANT answers, all on one side."""
    sides_of: dict[tuple[str, str], list[str]] = {}
    for document in documents:
        for question in {question for fact in document.facts for question in _questions(fact)}:
            sides_of.setdefault(question, []).append(document.side)
    possible: dict[str, dict[str, list[str]]] = {"train": {}, "dev": {}}
    for (kind, subject), sides in sorted(sides_of.items()):
        if 2 <= len(sides) <= MOST_RELEVANT and len(set(sides)) == 1:
            possible[sides[0]].setdefault(kind, []).append(subject)
    return possible


def _questions(fact: Fact) -> list[tuple[str, str]]:
    """Kind and subject of the questions that a fact answers."""
    kinds = [(kind, STATES[kind][1]) for kind in ASKS if STATES[kind][0] == fact.relation]
    return [(kind, fact.head if heads else fact.tail) for kind, heads in kinds]


def _take_turns(subjects: dict[str, list[str]], rng: random.Random) -> Iterator[tuple[str, str]]:
    """Questions in the order in which they are asked: one of each kind, then the next of each kind."""
    shuffled = {kind: rng.sample(some, len(some)) for kind, some in sorted(subjects.items())}
    for turn in range(max(map(len, shuffled.values()), default=0)):
        for kind, some in shuffled.items():
            if turn < len(some):
                yield kind, some[turn]


def _mentions(documents: Sequence[Document]) -> dict[Entity, list[Document]]:
    index: dict[Entity, list[Document]] = {}
    for document in documents:
        for entity in sorted(document.mentions):
            index.setdefault(entity, []).append(document)
    return index


def _judge(
    number: int, split: str, kind: str, subject: str, candidates: list[Document], share: float, rng: random.Random
) -> Query:
    """Let annotators find `share` of the answers, never all of them, and some near misses."""
    right = [document.key for document in candidates if answers(document, kind, subject)]
    wrong = [document.key for document in candidates if not answers(document, kind, subject)]
    rng.shuffle(right)
    num_found = min(len(right) - 1, max(1, round(share * len(right))))
    near_misses = rng.sample(wrong, min(NEAR_MISSES, len(wrong)))
    return Query(
        number,
        split,
        kind,
        subject,
        relevant=tuple(sorted(right[:num_found])),
        missed=tuple(sorted(right[num_found:])),
        near_misses=tuple(sorted(near_misses)),
    )
