"""What pydantic finds wrong with settings, said in the project's words: a line each, with the nearest right name."""

import dataclasses
import difflib
import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Place = tuple[int | str, ...]

_MEMBER = re.compile(r"(constrained-)?(int|float|str|bool)")  # what pydantic calls one of several types of a setting
_EXPECTED = {
    "missing": "a value",
    "too_short": "{min_length} or more entries",
    "too_long": "{max_length} entries at most",
    "finite_number": "a finite number",
    "invalid_key": "names that are texts",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "a text of the pattern {pattern}",
}
"""What settings must be, by pydantic's types of errors."""
_KINDS = {
    "bool": "true or false", "dataclass": "settings by name", "dict": "names with values", "float": "a number",
    "int": "a whole number", "list": "a list", "model": "settings by name", "string": "a text", "tuple": "a list",
}  # fmt: skip
"""The same by what these types begin with: `int_parsing`, `int_type`, `int_from_float`."""


def describe_errors(error: ValidationError, model: type) -> list[str]:
    """Say of each wrong setting where it is, what was expected, what was there, and what to do: a line each.

    Args:
        error: what pydantic found.
        model: the class of all settings that were read.
    """
    found = error.errors()
    wrong = [one["loc"] for one in found]
    inner = {loc[:depth] for loc in wrong for depth in range(1, len(loc))}  # a wrong entry makes its list too short
    places: dict[Place, list[ErrorDetails]] = {}
    for one in found:
        loc = one["loc"]
        if loc not in inner:
            places.setdefault(loc[:-1] if loc and _MEMBER.fullmatch(str(loc[-1])) else loc, []).append(one)
    return [_describe(place, errors, model) for place, errors in places.items()]


def _describe(place: Place, errors: list[ErrorDetails], model: type) -> str:
    """Say what pydantic found wrong with one setting, with the name that was probably meant."""
    where = ".".join(map(str, place)) or "settings"
    kind, given, message = errors[0]["type"], errors[0]["input"], errors[0]["msg"].removeprefix("Value error, ")
    if kind == "value_error":  # our own text: says what was there, and often the setting
        return message if message.startswith((f"{where}:", f"{where}.")) else f"{where}: {message}"
    got = "nothing" if kind == "missing" else repr(given)
    got = got if len(got) <= 80 else got[:80] + "…"
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{where}: there is no such setting (got {got}).{_nearest_setting(place, given, model)}"
    expected = " or ".join(map(_expected, errors))
    cure = " Correct it."
    if kind in ("tuple_type", "list_type") and isinstance(given, str | int | float):
        cure = f" Write [{given}]."
    elif kind == "literal_error":
        choices = re.findall("'([^']*)'", expected)
        cure = _did_you_mean(difflib.get_close_matches(str(given), choices, n=1)) or " Choose one."
    return f"{where}: expected {expected}, got {got}.{cure}"


def _expected(error: ErrorDetails) -> str:
    if error["type"] in _EXPECTED:
        return _EXPECTED[error["type"]].format(**error.get("ctx", {}))
    return _KINDS.get(error["type"].partition("_")[0], error["msg"])


def _nearest_setting(loc: Place, given: object, model: type) -> str:
    """Name a setting of the same name elsewhere; else the one that is spelled most alike, beside it first.

    Of a section that there is not, its settings are looked for.
    """
    *parents, wrong = (str(part) for part in loc if isinstance(part, str))
    paths = sorted(_paths(model, ()), key=len)
    beside = [path[-1] for path in paths if list(path[:-1]) == parents]
    near = difflib.get_close_matches(wrong, beside, n=1, cutoff=0.7)
    if isinstance(given, dict) and not near:
        near = [name for key in given for name in _elsewhere(str(key), paths, 0.7)]
    return _did_you_mean(_elsewhere(wrong, paths, 1.0) or near) or f" There are: {', '.join(beside)}."


def _elsewhere(name: str, paths: list[tuple[str, ...]], cutoff: float) -> list[str]:
    """Return the dotted name of the setting whose last name is the most alike, the one nearest to the top."""
    near = difflib.get_close_matches(name, [path[-1] for path in paths], n=1, cutoff=cutoff)
    return [".".join(path) for path in paths if path[-1] in near][:1]


def _did_you_mean(names: list[str]) -> str:
    return f" Did you mean {', '.join(dict.fromkeys(names))}?" if names else ""


def setting_names(model: type[Any], prefix: str = "") -> Iterator[str]:
    """Walk the dotted names of all settings that hold a value: sections are walked into, a list of sections is one."""
    for name, annotation in _fields(model).items():
        sections = [] if get_origin(annotation) is tuple else _sections(annotation)
        for section in sections:
            yield from setting_names(section, f"{prefix}{name}.")
        if not sections:
            yield f"{prefix}{name}"


def _paths(model: type[Any], prefix: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Walk the names of all settings, sections included; an entry of a list has its list's name before its own."""
    for name, annotation in _fields(model).items():
        yield (*prefix, name)
        for section in _sections(annotation):
            yield from _paths(section, (*prefix, name))


def _fields(model: type[Any]) -> dict[str, Any]:
    if issubclass(model, BaseModel):
        return {name: field.annotation for name, field in model.model_fields.items()}
    return {one.name: one.type for one in dataclasses.fields(model)}


def _sections(annotation: Any) -> list[type[Any]]:
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    return [kind for kind in kinds if dataclasses.is_dataclass(kind) or issubclass(kind, BaseModel)]
