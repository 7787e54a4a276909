"""What a language has to say for atlas: the shape of every file in this folder."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sentences:
    """Titles, statements, questions and asides of one language, each with `{a}`, `{b}`, `{n}` to fill in.

    `{a}` is the subject, `{b}` the value (one name, or a list joined the way the language joins lists) and `{n}` a
    percentage. Names come uninflected from CLDR, so a sentence keeps them where the language wants the base form:
    as its subject, in apposition, or after a colon.
    """

    titles: Mapping[str, str]
    """Headings: money, tongues, calendar, travel, advice, facts (`{a}` a territory) and pair (`{a}`, `{b}`)."""

    statements: Mapping[str, tuple[str, ...]]
    """Wordings that state a fact, by the kind of statement (`plan.STATES` says which fact each states)."""

    questions: Mapping[str, tuple[str, ...]]
    """Wordings that ask for a fact, in other words than the statements, by the kind of question (`plan.ASKS`)."""

    asides: Mapping[str, tuple[str, ...]]
    """Sentences on a topic that state no fact: money, tongues, calendar, place (`{a}` a territory), coin, tongue."""

    joiner: str = " "
    """What stands between two sentences."""

    names: Mapping[str, str] = field(default_factory=dict)
    """Territory code -> the name in running text, where CLDR's bare name would read badly."""
