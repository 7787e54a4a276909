"""The languages of the project: MIRACL's sixteen, by their ISO 639-1 codes."""

from typing import Literal, get_args

Language = Literal["ar", "bn", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th", "zh"]
LANGUAGES: tuple[str, ...] = get_args(Language)


def check_language(language: str) -> str:
    """Return the language if it is one of LANGUAGES.

    Raises:
        ValueError: it is not.
    """
    if language not in LANGUAGES:
        raise ValueError(f"language: expected one of {', '.join(LANGUAGES)}, got '{language}'. Use the ISO 639-1 code.")
    return language
