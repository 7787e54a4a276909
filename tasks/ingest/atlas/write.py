"""Put planned statements and questions of atlas into the words of one language."""

import random
import re
import unicodedata

from babel.lists import format_list

from tasks.ingest.atlas.ask import Query
from tasks.ingest.atlas.facts import World
from tasks.ingest.atlas.plan import Document, Entity, Statement
from tasks.ingest.atlas.sentences import load_sentences

NON_JOINER = "\u200c"
"""Keeps a case ending apart from a name that ends in a virama, which would else melt into it (Telugu)."""

VIRAMA = 9  # Unicode's combining class of the signs that silence a vowel


class Writer:
    """Words of one language; every call draws a wording from `rng`, so calls must come in a fixed order."""

    def __init__(self, language: str, world: World, rng: random.Random) -> None:
        self._language = language
        self._sentences = load_sentences(language)
        self._names = world.names[language]
        self._minorities = world.minorities
        self._rng = rng

    def title(self, document: Document) -> str:
        """The heading over a passage: the bare name of its subject, or one that says what it is about."""
        if not document.heading:
            kind, code = document.subjects[0]
            return _start(self._names[kind][code])
        first, second = self._name(document.subjects[0]), self._name(document.subjects[-1])
        return _start(self._sentences.titles[document.heading].format(a=first, b=second))

    def text(self, document: Document) -> str:
        """The sentences of a passage, in their order."""
        before = [None, *(statement.entity for statement in document.statements)]
        return self._sentences.joiner.join(
            self._sentence(statement, same=statement.entity == last)
            for statement, last in zip(document.statements, before, strict=False)
        )

    def question(self, query: Query) -> str:
        """The words of a query."""
        wording = self._rng.choice(self._sentences.questions[query.kind])
        return _start(wording.format(a=self._name(query.entity)))

    def _sentence(self, statement: Statement, *, same: bool) -> str:
        """Word one statement; where the last sentence had the same subject, a `{a}: ` in front is left out."""
        wordings = self._sentences.statements.get(statement.kind) or self._sentences.asides[statement.kind]
        wording = self._rng.choice(wordings)
        if same:
            wording = wording.removeprefix("{a}: ").removeprefix("{a} : ")
        values = [self._name((statement.value_kind, value)) for value in statement.values]
        percent = dict(self._minorities.get(statement.subject, ())).get("".join(statement.values), 0)
        subject = self._name(statement.entity)
        return _start(wording.format(a=subject, b=format_list(values, locale=self._language), n=percent))

    def _name(self, entity: Entity) -> str:
        kind, code = entity
        name = (kind == "territory" and self._sentences.names.get(code)) or self._names[kind][code]
        return name + NON_JOINER if unicodedata.combining(name[-1]) == VIRAMA else name


def _start(text: str) -> str:
    """Begin with a capital where the script has them, in Unicode's composed form."""
    text = re.sub(rf"{NON_JOINER}(?!\w)", "", text)  # only before an ending it has something to keep apart
    return unicodedata.normalize("NFC", text[:1].upper() + text[1:])
