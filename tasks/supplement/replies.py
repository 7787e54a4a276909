"""What the generator answered -> a summary, a query, or the reason why it is neither.

Reasons, stable, in the column `reason` of `generated`:

| reason | meaning |
|---|---|
| `no_positive` | the query has no positive to start from, so nothing was asked |
| `unparsed` | the answer is a thought that never ended, or holds nothing but one |
| `summary_empty`, `query_empty` | no text in the answer |
| `summary_too_long`, `query_too_long` | more than 1200 or 200 characters |
| `summary_wrong_language`, `query_wrong_language` | another script, or another language of the same script |
| `summary_ungrounded` | next to nothing of it stands in the passage or the query: a refusal, or an invention |
| `query_not_one_line` | more than the query was written |
| `query_equals_original` | the query is the one it was made for, but for case, spaces and punctuation |
| `query_repeated` | the same as an earlier one for this query |
"""

import re
import unicodedata
from collections.abc import Iterable

from tasks.languages import is_unspaced
from tasks.supplement.languages import in_language

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_MAX_SUMMARY_CHARACTERS = 1200
_MAX_QUERY_CHARACTERS = 200
_MIN_GROUNDED = 0.2  # share of a summary's terms that its source has
_QUOTES = {'""', "''", "«»", "“”", "„“", "””", "「」", "『』", "``"}  # opening and closing


class BadReply(ValueError):
    """An answer that is of no use; the text is the reason."""


def parse_summary(reply: str, *, language: str, source: str) -> str:
    """Read a summary out of an answer: its text on one line.

    Args:
        reply: the answer.
        language: that the summary has to be in.
        source: what it is made from, passage and query.

    Raises:
        BadReply: there is none; one of the reasons above.
    """
    summary = " ".join(_spoken(reply).split())
    if not _words(summary):
        raise BadReply("summary_empty")
    if len(summary) > _MAX_SUMMARY_CHARACTERS:
        raise BadReply("summary_too_long")
    if not in_language(summary, language):
        raise BadReply("summary_wrong_language")
    terms = _terms(summary, language)
    if len(terms & _terms(source, language)) < _MIN_GROUNDED * len(terms):
        raise BadReply("summary_ungrounded")
    return summary


def parse_query(reply: str, *, language: str, original: str, earlier: Iterable[str]) -> str:
    """Read a query out of an answer: one line, without the quotes around it.

    Args:
        reply: the answer.
        language: that the query has to be in.
        original: the query that it is made for.
        earlier: queries that were made for it before.

    Raises:
        BadReply: there is none; one of the reasons above.
    """
    query = _spoken(reply).strip()
    if not _words(query):
        raise BadReply("query_empty")
    if len(query.splitlines()) > 1:
        raise BadReply("query_not_one_line")
    if query[0] + query[-1] in _QUOTES and _words(query[1:-1]):
        query = query[1:-1].strip()
    query = " ".join(query.split())
    if len(query) > _MAX_QUERY_CHARACTERS:
        raise BadReply("query_too_long")
    if not in_language(query, language):
        raise BadReply("query_wrong_language")
    if _words(query) == _words(original):
        raise BadReply("query_equals_original")
    if _words(query) in {_words(one) for one in earlier}:
        raise BadReply("query_repeated")
    return query


def _spoken(reply: str) -> str:
    """Leave out what a reasoning model thought before it spoke."""
    spoken = _THOUGHT.sub("", reply)
    if "<think>" in spoken or (spoken != reply and not spoken.strip()):
        raise BadReply("unparsed")
    return spoken


def _terms(text: str, language: str) -> set[str]:
    """Take a text's longer words by their beginnings, as ends inflect; pairs of characters where nothing is spaced."""
    if is_unspaced(language):
        letters = _words(text)
        return {letters[place : place + 2] for place in range(len(letters) - 1)}
    return {word[:4] for word in map(_words, text.split()) if len(word) >= 4}


def _words(text: str) -> str:
    """Compare texts by this: letters, marks and digits alone, in lower case."""
    return "".join(
        character
        for character in unicodedata.normalize("NFKC", text).casefold()
        if unicodedata.category(character)[0] in "LMN"
    )
