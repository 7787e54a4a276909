"""What each language has to say for atlas: one YAML file per language, beside this one."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

_PLACE = Path(__file__).parent


@dataclass(frozen=True)
class Sentences:
    """Titles, statements, questions and asides of one language, each with `{a}`, `{b}`, `{n}` to fill in.

    `{a}` is the subject, `{b}` the value (one name, or a list joined the way the language joins lists) and `{n}` a
    percentage. Names come uninflected from CLDR, so a sentence keeps them where the language wants the base form:
    as its subject, in apposition, or after a colon.
    """

    titles: Mapping[str, str]
    """Headings: money, tongues, calendar, travel, advice, facts (`{a}` a territory) and pair (`{a}`, `{b}`)."""

    statements: Mapping[str, list[str]]
    """Wordings that state a fact, by the kind of statement (`plan.STATES` says which fact each states)."""

    questions: Mapping[str, list[str]]
    """Wordings that ask for a fact, in other words than the statements, by the kind of question (`ask.ASKS`)."""

    asides: Mapping[str, list[str]]
    """Sentences on a topic that state no fact: money, tongues, calendar, place (`{a}` a territory), coin, tongue."""

    joiner: str = " "
    """What stands between two sentences."""

    names: Mapping[str, str] = field(default_factory=dict)
    """Territory code -> the name in running text, where CLDR's bare name would read badly."""


@functools.cache
def load_sentences(language: str) -> Sentences:
    """Read a language's sentences.

    Raises:
        ValueError: an unknown language, or one that has none yet.
    """
    file = _PLACE / f"{language}.yaml"
    if not file.is_file():
        languages = ", ".join(sorted(path.stem for path in _PLACE.glob("*.yaml")))
        raise ValueError(
            f"atlas: expected a language out of {languages}, got '{language}'. "
            "Choose one of these, or write its sentences in tasks/ingest/atlas/sentences."
        )
    return Sentences(**yaml.safe_load(file.read_text(encoding="utf-8")))
