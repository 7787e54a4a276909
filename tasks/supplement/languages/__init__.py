"""What the supplement knows of each language, one YAML file per language beside this one: prompts and marks.

Back: query and positive -> summary. Forward: summary -> new query. Every prompt is written in the language that the
answer has to have: a small LLM answers in the language in which it is asked, whatever an English instruction says. A
language without a file is asked for in English, by its name, and any text passes for it.
"""

import functools
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import yaml

from tasks.languages import name_of, primary, script_of

_MIN_SHARE = 0.5  # names and terms may stand in another script
_MIN_WEIGHT = 2  # one small word says too little
_MIN_KANA_TEXT = 6  # a Japanese text of so many letters has kana


@dataclass(frozen=True)
class Language:
    """One language's prompts, and what tells its texts from others'."""

    system: str
    """How the generator is to answer."""
    back: str
    """Holds {query} and {passage}."""
    forward: str
    """Holds {summary}."""
    scripts: tuple[str, ...]
    """As the names of its letters begin in Unicode; none: not known."""
    small_words: frozenset[str] = frozenset()
    """None where no other of the languages has the script."""
    question_words: frozenset[str] = frozenset()
    """They tell more than other small words, and count twice."""
    own_letters: frozenset[str] = frozenset()
    """That no other language of the script with small words has."""


@functools.cache
def load_languages() -> dict[str, Language]:
    """Read all languages, by their ISO 639-1 codes."""
    files = sorted(Path(__file__).parent.glob("*.yaml"))
    return {file.stem: _language(**yaml.safe_load(file.read_text(encoding="utf-8"))) for file in files}


def prompts_for(language: str) -> Language:
    """Return what is known of a language.

    Args:
        language: BCP 47. `en-GB` is English; `zh-Hant` has another script than `zh`, so it has no file.
    """
    languages = load_languages()
    if own := languages.get(primary(language)) if script_of(language) == script_of(primary(language)) else None:
        return own
    english, name = languages["en"], name_of(language)
    return Language(
        system=english.system.replace("English", name),
        back=f"{english.back} Write it in {name}.",
        forward=f"{english.forward} Write it in {name}.",
        scripts=(),
    )


def fallback_note(language: str) -> str | None:
    """Say what is done for a language without a file; None where it has one."""
    if prompts_for(language).scripts:
        return None
    name = name_of(language)
    return f"{language}: the generator is asked in English for {name}; whether its answers are in {name} is not checked"


def _language(
    *, scripts: list[str], small_words: str = "", question_words: str = "", own_letters: str = "", **prompts: str
) -> Language:
    words, questions = frozenset(small_words.split()), frozenset(question_words.split())
    return Language(
        **prompts, scripts=(*scripts,), small_words=words, question_words=questions, own_letters=frozenset(own_letters)
    )


def in_language(text: str, language: str) -> bool:
    """Say whether a text may be in a language.

    At least half of its letters are of the language's script. No other language of the script has more signs in it, and
    at least two: its small words and words with its own letters are one each, its question words two. Chinese has no
    kana, Japanese that is not short has some. A text without a letter is in no language, any other may be in a language
    without a file.
    """
    known, code = prompts_for(language), primary(language)
    letters = [unicodedata.name(letter, "") for letter in text if letter.isalpha()]
    if not letters or not known.scripts:
        return bool(letters)
    native = sum(name.startswith(known.scripts) for name in letters)
    if native / len(letters) < _MIN_SHARE:
        return False
    kana = sum(name.startswith(("HIRAGANA", "KATAKANA")) for name in letters)
    if code == "zh" and kana:
        return False
    if code == "ja" and not kana and len(letters) >= _MIN_KANA_TEXT:
        return False
    return not known.small_words or not _sounds_foreign(text, known)


def _sounds_foreign(text: str, language: Language) -> bool:
    words = re.findall(r"[^\W\d_]+", text.lower())
    weight = sum(_weight(word, language) for word in words)
    others = [
        sum(_weight(word, other) for word in words)
        for other in load_languages().values()
        if other.small_words and other.scripts == language.scripts and other is not language
    ]
    return max(others) >= max(_MIN_WEIGHT, weight + 1)


def _weight(word: str, language: Language) -> int:
    if word in language.question_words:
        return 2
    return int(word in language.small_words or not language.own_letters.isdisjoint(word))
