"""Is a text in the language that it should be in? By its script; within one script by small words and own letters."""

import re
import unicodedata

_SCRIPTS: dict[str, tuple[str, ...]] = {  # as the names of their letters begin in Unicode
    "ar": ("ARABIC",),
    "bn": ("BENGALI",),
    "en": ("LATIN",),
    "es": ("LATIN",),
    "fa": ("ARABIC",),
    "fi": ("LATIN",),
    "fr": ("LATIN",),
    "hi": ("DEVANAGARI",),
    "id": ("LATIN",),
    "ja": ("HIRAGANA", "KATAKANA", "CJK"),
    "ko": ("HANGUL",),
    "ru": ("CYRILLIC",),
    "sw": ("LATIN",),
    "te": ("TELUGU",),
    "th": ("THAI",),
    "zh": ("CJK",),
}
_SMALL_WORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "ar": "من في على ما ماذا هو هي التي الذي إلى عن هل متى أين كيف كم هذا هذه كان كانت",
        "en": "the of and in is was are were what which who how when where did does do by for to with from an that",
        "es": "el la los las de que en es fue y qué cuál cuáles quién cómo cuándo dónde del un una por para con se",
        "fa": "در از به که این را است با آن چه چیست کجا کدام چگونه چند بود برای های می شد",
        "fi": "on oli ja mikä mitä mitkä kuka missä milloin kuinka miten ovat mistä mihin se joka ei vuonna jossa",
        "fr": "le la les des de que qui en est et quel quelle quels quelles comment quand où du un une par pour dans",
        "id": "yang di dan dari apa siapa kapan mana bagaimana adalah ini itu dengan untuk pada ke berapa dalam oleh",
        "sw": "ya wa na ni kwa katika la cha za nini nani lini wapi gani ipi vipi je ambayo ambaye kuwa mwaka huu hii",
    }.items()
}
_QUESTION_WORDS: dict[str, frozenset[str]] = {  # they tell more than other small words, and count twice
    language: frozenset(words.split())
    for language, words in {
        "ar": "ما ماذا هل متى أين كيف كم من",
        "en": "what which who why when where how did does can",
        "es": "qué cuál cuáles quién quiénes cómo cuándo dónde cuánto cuántos cuántas",
        "fa": "چه چیست کجا کدام چگونه چند کی آیا چرا",
        "fi": "mikä mitä mitkä kuka ketkä missä milloin kuinka miten mistä mihin minkä miksi montako onko oliko voiko",
        "fr": "quel quelle quels quelles comment quand où combien pourquoi",
        "id": "apa apakah siapa siapakah kapan kapankah dimana dimanakah berapa berapakah manakah bagaimana mana",
        "sw": "nini nani lini wapi gani ipi vipi je ngapi mingapi wangapi mangapi unaitwaje upi",
    }.items()
}
_OWN_LETTERS = {
    "ar": "ةىيك",
    "es": "ñáíóú",
    "fa": "پچژگکی",
    "fi": "äö",
    "fr": "çèêàùœ",
}  # of languages with small words
_MIN_SHARE = 0.5  # names and terms may stand in another script
_MIN_WEIGHT = 2  # one small word says too little
_MIN_KANA_TEXT = 6  # a Japanese text of so many letters has kana


def in_language(text: str, language: str) -> bool:
    """Say whether a text may be in a language.

    At least half of its letters are of the language's script. No other language of the script has more signs in it, and
    at least two: its small words and words with its own letters are one each, its question words two. Chinese has no
    kana, Japanese that is not short has some. A text without a letter is in no language.

    Raises:
        ValueError: the language is none of ours.
    """
    if language not in _SCRIPTS:
        raise ValueError(f"language: expected one of {sorted(_SCRIPTS)}, got '{language}'. Add its script and words.")
    scripts = [unicodedata.name(letter, "") for letter in text if letter.isalpha()]
    own = sum(name.startswith(_SCRIPTS[language]) for name in scripts)
    if not scripts or own / len(scripts) < _MIN_SHARE:
        return False
    kana = sum(name.startswith(("HIRAGANA", "KATAKANA")) for name in scripts)
    if language == "zh" and kana:
        return False
    if language == "ja" and not kana and len(scripts) >= _MIN_KANA_TEXT:
        return False
    return language not in _SMALL_WORDS or not _sounds_foreign(text, language)


def _sounds_foreign(text: str, language: str) -> bool:
    words = re.findall(r"[^\W\d_]+", text.lower())
    counts = {
        other: sum(_weight(word, other) for word in words)
        for other in _SMALL_WORDS
        if _SCRIPTS[other] == _SCRIPTS[language]
    }
    own = counts.pop(language)
    return max(counts.values()) >= max(_MIN_WEIGHT, own + 1)


def _weight(word: str, language: str) -> int:
    if word in _QUESTION_WORDS[language]:
        return 2
    return int(word in _SMALL_WORDS[language] or not set(_OWN_LETTERS.get(language, "")).isdisjoint(word))
