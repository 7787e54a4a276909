"""What the documents of atlas state, before any wording: the same plan in every language."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tasks.ingest.atlas.facts import KINDS, World

STATES = {
    "currency": ("currency", True),
    "users": ("currency", False),
    "official": ("official", True),
    "speakers": ("official", False),
    "region": ("region", True),
    "members": ("region", False),
    "weekend": ("weekend", True),
    "week_start": ("week_start", True),
    "zone": ("zone", True),
    "code": ("code", True),
    "script": ("script", True),
    "written": ("script", False),
}
"""Kind of statement -> the relation it states, and whether its subject is the head. Other kinds state no fact."""

SUBJECTS = {"minority": "territory", "coin": "currency", "tongue": "language"}
"""Kind of the subject of what states no fact; asides that are not listed speak of a territory."""

LIST = 4
"""Names in one sentence, at most: a list any longer reads like a table."""

Entity = tuple[str, str]
"""Kind of entity (territory, currency, …) and its code."""


def subject_kind(kind: str) -> str:
    """Which kind of entity a statement or a question of this kind is about."""
    if kind in STATES:
        relation, heads = STATES[kind]
        return KINDS[relation][0 if heads else 1]
    return SUBJECTS.get(kind, "territory")


class Fact(NamedTuple):
    """One thing that is so: `currency KE KES`."""

    relation: str
    head: str
    tail: str


@dataclass(frozen=True)
class Statement:
    """One sentence to be worded: about `subject`, saying `values` (empty for an aside)."""

    kind: str
    subject: str
    values: tuple[str, ...] = ()

    @property
    def facts(self) -> frozenset[Fact]:
        """What a reader of the sentence knows afterwards."""
        if self.kind not in STATES:
            return frozenset()
        relation, heads = STATES[self.kind]
        ends = ((self.subject, value) if heads else (value, self.subject) for value in self.values)
        return frozenset(Fact(relation, head, tail) for head, tail in ends)

    @property
    def entity(self) -> Entity:
        """What the sentence is about."""
        return subject_kind(self.kind), self.subject

    @property
    def value_kind(self) -> str:
        """Which kind of entity the values are."""
        relation, heads = STATES.get(self.kind, ("official", True))  # a minority's value is a language, too
        return KINDS[relation][1 if heads else 0]


@dataclass(frozen=True)
class Document:
    """One passage: `key` is its id without the language, `heading` the kind of its title (none: the bare name)."""

    key: str
    side: str
    heading: str
    subjects: tuple[Entity, ...]
    statements: tuple[Statement, ...]

    @property
    def facts(self) -> frozenset[Fact]:
        """Everything that the passage states."""
        return frozenset().union(*(statement.facts for statement in self.statements))

    @property
    def mentions(self) -> frozenset[Entity]:
        """Every entity that the passage names."""
        named = {statement.entity for statement in self.statements}
        return frozenset(named.union(self.subjects, *({(s.value_kind, v) for v in s.values} for s in self.statements)))


def plan_documents(world: World, sides: Mapping[str, str], rng: random.Random) -> list[Document]:
    """Plan every passage that the facts about some territories can give.

    Every passage tells of one side only, so that no passage answers both a train and a dev query.

    Args:
        world: all facts.
        sides: territory -> side (train or dev); territories that share a currency are on one side.
        rng: draws which facts a passage combines.

    Returns:
        The passages, by territory, currency, language, script and region; keys are unique.
    """
    documents: list[Document] = []
    for territory, side in sides.items():
        documents += _territory_documents(world, territory, side, rng)
    documents += _currency_documents(world, sides)
    documents += _language_documents(world, sides)
    documents += _region_documents(world, sides, rng)
    return documents


def _state(world: World, kind: str, subject: str) -> list[Statement]:
    """The statement of this kind, or nothing where CLDR does not know."""
    values = world.pairs[kind].get(subject, ())
    return [Statement(kind, subject, values)] if values else []


def _territory_documents(world: World, territory: str, side: str, rng: random.Random) -> Iterator[Document]:
    def document(series: str, heading: str, *parts: list[Statement]) -> Document:
        statements = [statement for part in parts for statement in part]
        rng.shuffle(statements)
        return Document(f"{series}-{territory}#{number(series)}", side, heading, about, tuple(statements))

    def number(series: str) -> int:
        counts[series] = counts.get(series, 0) + 1
        return counts[series]

    about = (("territory", territory),)
    counts: dict[str, int] = {}
    stated = {kind: _state(world, kind, territory) for kind, ends in KINDS.items() if ends[0] == "territory"}
    aside = {topic: [Statement(topic, territory)] for topic in ("money", "tongues", "calendar", "place")}
    daily = [stated[kind] for kind in ("weekend", "week_start", "zone") if stated[kind]]
    core = [stated["currency"], stated["official"], *daily]
    code = _state(world, "code", world.pairs["currency"][territory][0])
    few = [Statement("minority", territory, (language,)) for language, _ in world.minorities.get(territory, ())[:1]]
    yield document("territory", "", stated["region"], rng.choice(core), aside["place"])
    yield document("territory", "money", stated["currency"], rng.choice([code, []]), aside["money"])
    yield document("territory", "tongues", stated["official"], few, aside["tongues"])
    yield document("territory", "calendar", *rng.sample(daily, min(2, len(daily))), aside["calendar"])
    yield document("territory", "facts", *rng.sample([stated["region"], *core], 3))
    yield document("travel", "travel", *rng.sample(core, 2), aside[rng.choice(("money", "tongues", "place"))])
    yield document("travel", "advice", aside["money"], aside["tongues"], aside["calendar"])


def _holders(world: World, relation: str, sides: Mapping[str, str]) -> dict[str, dict[str, list[str]]]:
    """Tail -> side -> the territories of that side that have it, everything in sorted order."""
    holders: dict[str, dict[str, list[str]]] = {}
    for territory in sorted(sides):
        for tail in world.pairs[relation][territory]:
            holders.setdefault(tail, {}).setdefault(sides[territory], []).append(territory)
    return dict(sorted(holders.items()))


def _chunks(items: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(items[start : start + LIST]) for start in range(0, len(items), LIST))


def _currency_documents(world: World, sides: Mapping[str, str]) -> Iterator[Document]:
    for currency, by_side in _holders(world, "currency", sides).items():
        about, code = (("currency", currency),), _state(world, "code", currency)
        for side, territories in by_side.items():  # one side: territories that share a currency do not part
            for number, some in enumerate(_chunks(territories), start=1):
                parts = [
                    Statement("users", currency, some),
                    *(code if number == 1 else ()),
                    Statement("coin", currency),
                ]
                yield Document(f"currency-{currency}#{number}", side, "", about, tuple(parts))
            yield Document(f"currency-{currency}#note", side, "", about, (Statement("coin", currency), *code))


def _language_documents(world: World, sides: Mapping[str, str]) -> Iterator[Document]:
    written: dict[tuple[str, str], list[str]] = {}
    for language, by_side in _holders(world, "official", sides).items():
        home = "train" if "train" in by_side else "dev"  # the script of a language is told on one side only
        about, script, number = (("language", language),), _state(world, "script", language), 0
        for side, territories in sorted(by_side.items(), reverse=True):
            for some in _chunks(territories):
                number += 1
                stated = script if side == home and number == 1 else []
                parts = (Statement("speakers", language, some), *stated, Statement("tongue", language))
                yield Document(f"language-{language}#{number}", side, "", about, parts)
        yield Document(f"language-{language}#note", home, "", about, (Statement("tongue", language), *script))
        for statement in script:
            written.setdefault((statement.values[0], home), []).append(language)
    numbers: Counter[str] = Counter()
    for (code, side), languages in sorted(written.items()):
        for some in _chunks(languages):
            numbers[code] += 1
            about = (("script", code),)
            yield Document(f"script-{code}#{numbers[code]}", side, "", about, (Statement("written", code, some),))


def _region_documents(world: World, sides: Mapping[str, str], rng: random.Random) -> Iterator[Document]:
    for region, by_side in _holders(world, "region", sides).items():
        number = 0
        for side, territories in sorted(by_side.items()):
            for some in _chunks(territories):
                number += 1
                money, tongue = (_state(world, kind, rng.choice(some)) for kind in ("currency", "official"))
                parts = (Statement("members", region, some), *money, *tongue)
                yield Document(f"region-{region}#{number}", side, "", (("region", region),), parts)
            for pair in zip(territories, territories[1:], strict=False):
                yield _pair_document(world, pair, side, rng)


def _pair_document(world: World, pair: tuple[str, str], side: str, rng: random.Random) -> Document:
    """Two neighbours side by side: two kinds of fact, each told of both."""
    kinds = ("currency", "official", "weekend", "week_start", "zone")
    shared = [kind for kind in kinds if all(territory in world.pairs[kind] for territory in pair)]
    stated = [_state(world, kind, territory) for kind in rng.sample(shared, 2) for territory in pair]
    about = tuple(("territory", territory) for territory in pair)
    return Document(f"pair-{pair[0]}-{pair[1]}#1", side, "pair", about, tuple(s for part in stated for s in part))
