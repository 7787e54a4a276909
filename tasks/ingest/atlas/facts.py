"""The facts of atlas: what CLDR, through Babel, knows of territories, currencies, languages and scripts."""

import datetime
import functools
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from babel import Locale, localedata
from babel.core import get_global
from babel.languages import get_official_languages, get_territory_language_info
from babel.numbers import get_territory_currencies

from tasks.languages import LANGUAGES

LATIN = frozenset({"en", "es", "fi", "fr", "id", "sw"})
"""Those written in Latin letters; in all others a name in Latin letters is a name that CLDR lacks."""

TODAY = datetime.date(2025, 1, 1)
"""The day for which the facts hold: fixed, so that a corpus does not change with the calendar."""

UNCLEAR_SCRIPTS = frozenset({"Hans", "Hant", "Jpan", "Kore"})
"""CLDR names these by variant ("Simplified"), which makes no sentence."""

LEAST_PERCENT = 5
"""A language that fewer people know is not worth telling."""

REGIONS = {
    "005": "AR BO BR CL CO EC FK GF GY PE PY SR UY VE",
    "011": "BF BJ CI CV GH GM GN GW LR ML MR NE NG SH SL SN TG",
    "013": "BZ CR GT HN MX NI PA SV",
    "014": "BI DJ ER ET KE KM MG MU MW MZ RE RW SC SO SS TZ UG YT ZM ZW",
    "015": "DZ EG EH LY MA SD TN",
    "017": "AO CD CF CG CM GA GQ ST TD",
    "018": "BW LS NA SZ ZA",
    "021": "BM CA GL PM US",
    "029": "AG AI AW BB BL BQ BS CU CW DM DO GD GP HT JM KN KY LC MF MQ MS PR SX TC TT VC VG VI",
    "030": "CN HK JP KP KR MN MO TW",
    "034": "AF BD BT IN IR LK MV NP PK",
    "035": "BN ID KH LA MM MY PH SG TH TL VN",
    "039": "AD AL BA ES GI GR HR IT ME MK MT PT RS SI SM VA XK",
    "053": "AU CC CX NF NZ",
    "054": "FJ NC PG SB VU",
    "057": "FM GU KI MH MP NR PW UM",
    "061": "AS CK NU PF PN TK TO TV WF WS",
    "143": "KG KZ TJ TM UZ",
    "145": "AE AM AZ BH CY GE IL IQ JO KW LB OM PS QA SA SY TR YE",
    "151": "BG BY CZ HU MD PL RO RU SK UA",
    "154": "AX DK EE FI FO GB GG IE IM IS JE LT LV NO SE SJ",
    "155": "AT BE CH DE FR LI LU MC NL",
}
"""Region -> its territories: CLDR's territoryContainment (UN M49), which Babel does not pack."""


@dataclass(frozen=True)
class World:
    """All facts, and the names to tell them with; the same in every language."""

    pairs: Mapping[str, Mapping[str, tuple[str, ...]]]
    """Relation -> head -> tails: currency, official, region, weekend, week_start, zone (head: a territory), code
    (head: a currency) and script (head: a language). Heads and tails are CLDR codes, days are 0 (Monday) to 6."""

    minorities: Mapping[str, tuple[tuple[str, int], ...]]
    """Territory -> languages without official status there, with the percentage of people who know them."""

    names: Mapping[str, Mapping[str, Mapping[str, str]]]
    """Language -> kind of entity (territory, currency, language, script, region, city, day, code) -> code -> name."""


KINDS = {
    "currency": ("territory", "currency"),
    "official": ("territory", "language"),
    "region": ("territory", "region"),
    "weekend": ("territory", "day"),
    "week_start": ("territory", "day"),
    "zone": ("territory", "city"),
    "code": ("currency", "code"),
    "script": ("language", "script"),
}
"""Relation -> the kinds of its head and of its tails."""


@functools.cache
def load_world() -> World:
    """Read the facts out of Babel, keeping what has a distinct, native name in all 16 languages.

    Returns:
        The world; mappings are sorted by code. A territory is in it if it has a currency, an official language and a
        region; its other facts may be missing.

    Source: Unicode CLDR as packed into Babel: another release may give another atlas.
    """
    locales = {language: Locale(language) for language in LANGUAGES}
    zones = {territory: names[0] for territory, names in get_global("territory_zones").items() if len(names) == 1}
    named = {
        "territory": _named({x: dict(y.territories) for x, y in locales.items()}),
        "currency": _named({x: dict(y.currencies) for x, y in locales.items()}),
        "language": _named({x: dict(y.languages) for x, y in locales.items()}),
        "script": _named({x: dict(y.scripts) for x, y in locales.items()}),
        "city": _named({x: _city_names(y, sorted(zones.values())) for x, y in locales.items()}),
    }
    pairs = _pairs(named, zones)
    days = {x: {str(day): y.days["stand-alone"]["wide"][day] for day in range(7)} for x, y in locales.items()}
    codes = {code: code for code in named["currency"]["en"]}
    names = {
        x: {kind: table[x] for kind, table in named.items()}
        | {"region": {code: locales[x].territories[code] for code in REGIONS}, "day": days[x], "code": codes}
        for x in LANGUAGES
    }
    return World(pairs, _minorities(pairs["official"], named["language"]["en"]), names)


def _named(tables: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The rows of each language's table of names whose code every language names natively and unambiguously."""
    codes = set.intersection(*(set(table) for table in tables.values()))
    for language, table in tables.items():
        counts = Counter(table[code] for code in codes)
        clear = {code for code in codes if counts[table[code]] == 1}
        codes &= clear if language in LATIN else {code for code in clear if not _is_latin(table[code])}
    kept = sorted(codes)
    return {x: {c: unicodedata.normalize("NFC", table[c]) for c in kept} for x, table in tables.items()}


def _is_latin(name: str) -> bool:
    """Whether most letters are Latin; a few may be, as in a name with an abbreviation."""
    latin = [unicodedata.name(letter, "").startswith("LATIN") for letter in name if letter.isalpha()]
    return 2 * sum(latin) > len(latin)


def _city_names(locale: Locale, zones: list[str]) -> dict[str, str]:
    named = locale.time_zones
    return {zone: named.get(zone, {}).get("city") or zone.rsplit("/", 1)[-1].replace("_", " ") for zone in zones}


def _pairs(named: dict[str, dict[str, dict[str, str]]], zones: dict[str, str]) -> dict[str, dict[str, tuple[str, ...]]]:
    region_of = {territory: code for code, members in REGIONS.items() for territory in members.split()}
    currencies, languages, scripts = (named[kind]["en"] for kind in ("currency", "language", "script"))
    pairs: dict[str, dict[str, tuple[str, ...]]] = {relation: {} for relation in KINDS}
    weeks = _weeks()
    for territory in named["territory"]["en"]:
        money = get_territory_currencies(territory, TODAY, TODAY, tender=True, non_tender=False)
        tongues = get_official_languages(territory, de_facto=True)
        if territory not in region_of or not money or not tongues:
            continue
        if not all(c in currencies for c in money) or not all(x in languages for x in tongues):
            continue  # a list of currencies that left one out would make false statements
        pairs["currency"][territory] = tuple(sorted(money))
        pairs["official"][territory] = tuple(tongues)
        pairs["region"][territory] = (region_of[territory],)
        if territory in weeks:
            first, start, end = weeks[territory]
            pairs["week_start"][territory] = (str(first),)
            pairs["weekend"][territory] = tuple(str((start + i) % 7) for i in range((end - start) % 7 + 1))
        zone = zones.get(territory, "")
        if zone in named["city"]["en"] and not _gives_away(named, zone, territory):
            pairs["zone"][territory] = (zone,)
    pairs["code"] = {code: (code,) for code in sorted({c for tails in pairs["currency"].values() for c in tails})}
    for language in sorted({x for tails in pairs["official"].values() for x in tails}):
        script = get_global("likely_subtags").get(language, "").split("_")[1:2]
        if script and script[0] in scripts and script[0] not in UNCLEAR_SCRIPTS:
            pairs["script"][language] = (script[0],)
    return pairs


def _gives_away(named: dict[str, dict[str, dict[str, str]]], zone: str, territory: str) -> bool:
    """Whether the city is called like its territory in some language, which would be no question."""
    return any(named["city"][x][zone] == named["territory"][x][territory] for x in LANGUAGES)


def _weeks() -> dict[str, tuple[int, int, int]]:
    """Territory -> first day of the week, first and last day of the weekend.

    Only the territory's own locale file is read (merging its parents takes seconds); what it leaves out is the world's.
    """
    world = localedata.load("root")["week_data"]
    weeks: dict[str, tuple[int, int, int]] = {}
    for identifier in sorted(localedata.locale_identifiers()):
        territory = identifier.rsplit("_", 1)[-1]
        if territory != identifier and len(territory) == 2:
            days = {**world, **localedata.load(identifier, merge_inherited=False).get("week_data", {})}
            weeks.setdefault(territory, (days["first_day"], days["weekend_start"], days["weekend_end"]))
    return weeks


def _minorities(
    official: Mapping[str, tuple[str, ...]], languages: Mapping[str, str]
) -> dict[str, tuple[tuple[str, int], ...]]:
    minorities: dict[str, tuple[tuple[str, int], ...]] = {}
    for territory in official:
        shares: list[tuple[str, int]] = []
        for language, info in sorted(get_territory_language_info(territory).items()):
            percent = info["population_percent"]
            if info["official_status"] is None and isinstance(percent, float | int) and language in languages:
                shares += [(language, round(percent))] if percent >= LEAST_PERCENT else []
        if shares:
            minorities[territory] = tuple(shares)
    return minorities
