"""Languages by their BCP 47 tags: which are written right, what they are called, how they are written."""

import difflib
import functools
import re
from typing import Annotated

import polars as pl
from babel import Locale
from babel.core import get_global
from pydantic import AfterValidator

LANGUAGES = ("ar", "bn", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th", "zh")
"""MIRACL's sixteen, by ISO 639-1: the languages of atlas."""

_ALL = "all"  # the partition of what belongs to every language; as a tag, Allar
# RFC 5646, section 2.1: language with its extension, script, region, variants, extensions, private use.
_TAG = re.compile(
    "([a-z]{2,3})(?:-[a-z]{3})?(?:-([A-Z][a-z]{3}))?(?:-(?:[A-Z]{2}|[0-9]{3}))?(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"
    "(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?"
)
_PARTS = {"Jpan": ("Han", "Hira", "Kana"), "Kore": ("Hang", "Han"), "Hans": ("Han",), "Hant": ("Han",)}
_UNSPACED = {"Hani", "Hans", "Hant", "Jpan", "Khmr", "Laoo", "Mymr", "Thai", "Tibt"}


def check_language(language: str) -> str:
    """Return the language if it is a BCP 47 tag: `de`, `pt-BR`, `zh-Hant`.

    A code of two letters must exist; one of three letters must have none of two.

    Raises:
        ValueError: it is not; names the nearest tag.
    """
    if language in LANGUAGES or _is_tag(language):  # CLDR's names take a moment to load
        return language
    nearest = _nearest(language)
    hint = f"Did you mean '{nearest}'?" if nearest else "Write it like de, pt-BR or zh-Hant."
    raise ValueError(f"language: expected a language's BCP 47 tag, got '{language}'. {hint}")


Language = Annotated[str, AfterValidator(check_language)]


def primary(language: str) -> str:
    """Return the tag's language alone: `pt` of `pt-BR`."""
    return language.partition("-")[0]


def name_of(language: str) -> str:
    """Return the English name: `Brazilian Portuguese` of `pt-BR`, `Serbian (Latin)`; the tag where CLDR has none."""
    names = _names("languages")
    if known := names.get(language.replace("-", "_")):
        return known
    details = [_names("scripts").get(part) or _names("territories").get(part, part) for part in language.split("-")[1:]]
    name = names.get(primary(language))
    return language if name is None else f"{name} ({', '.join(details)})" if details else name


def script_of(language: str) -> str:
    """Return the script's ISO 15924 code: the tag's own, else CLDR's likely one; "" where it has none."""
    parts, likely = _TAG.fullmatch(language), get_global("likely_subtags")
    if parts and parts[2]:
        return parts[2]
    found = (likely.get(one) for one in (language.replace("-", "_"), primary(language)) if one != "und")
    full: str = next(filter(None, found), "")
    return full.split("_")[1] if full else ""


def script_letters(language: str) -> str:
    """Return a regular expression of polars for one letter of the language's script; any letter's where it has none."""
    code = script_of(language)
    try:
        pattern = "".join(rf"\p{{{part}}}" for part in _PARTS.get(code, (code,)))
        pl.Series([""]).str.contains(f"[{pattern}]")
    except pl.exceptions.ComputeError:  # no script of Unicode's
        return r"\pL"
    return f"[{pattern}]"


def is_unspaced(language: str) -> bool:
    """Say whether the language's words stand without spaces between them."""
    return script_of(language) in _UNSPACED


def _is_tag(language: str) -> bool:
    parts = _TAG.fullmatch(language)
    if parts is None or language == _ALL:
        return False
    code = parts[1]
    return code in _names("languages") or (len(code) == 3 and code not in get_global("language_aliases"))


def _nearest(language: str) -> str | None:
    """Guess which tag was meant: other case or hyphens, a longer code, a country's code, an English name."""
    code, *rest = re.split("[-_ ]+", language.strip().lower())
    parts = [
        part.title() if re.fullmatch("[a-z]{4}", part) else part.upper() if len(part) == 2 else part for part in rest
    ]
    country = get_global("likely_subtags").get(f"und_{code.upper()}", "").partition("_")[0]
    for first in (code, get_global("language_aliases").get(code, ""), country):
        if _is_tag(tag := "-".join([first.replace("_", "-"), *parts])):
            return tag
    by_name = {name.lower(): code for code, name in sorted(_names("languages").items(), reverse=True)}
    close = difflib.get_close_matches(language.lower(), by_name, n=1, cutoff=0.85)
    return by_name[close[0]].replace("_", "-") if close else None


@functools.cache
def _names(what: str) -> dict[str, str]:
    """English names by code, from CLDR: of `languages`, `scripts` or `territories`."""
    return dict(getattr(Locale("en"), what))
