"""A file of settings -> checked settings; what is wrong with it is said in a line each, with the nearest right name."""

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from flows.settings_errors import describe_errors
from tasks.engine.step import Settings

S = TypeVar("S", bound=Settings)

MAX_BYTES = 1 << 20
MAX_VALUES = 100_000
"""Of a file, with each alias counted as what it stands for: a few lines of YAML can stand for billions."""
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class ConfigError(ValueError):
    """A configuration that cannot be used; the text says where and why."""


def read_content(path: Path, *, example: str, overrides: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read settings as they stand in a file, with the overrides applied.

    Args:
        path: a YAML file.
        example: a file with such settings, for the error texts.
        overrides: `stage.key=value` each; the value is YAML.

    Raises:
        ConfigError: no such file, not one YAML document with every key once, or an override of another form.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ConfigError(f"{path}: expected settings, got more than {MAX_BYTES:,} bytes. See {example}.")
        content = parse_yaml(text.decode()) or {}
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: expected a YAML file, got none. Try {example}.") from error
    except OSError as error:
        raise ConfigError(f"{path}: expected a YAML file, got: {error.strerror}. Try {example}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        got = " ".join(str(error).split())
        raise ConfigError(f"{path}: expected YAML in UTF-8, got: {got}. Mend the file.") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected settings by name, got {type(content).__name__}. See {example}.")
    for override in overrides:
        _apply(content, override)
    return content


def validate(path: Path, content: Mapping[str, Any], model: type[S]) -> S:
    """Check what was read of a file.

    Raises:
        ConfigError: an unknown key or a value out of range; names each, one alone in one line.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = describe_errors(error, model)
        if len(lines) == 1:
            raise ConfigError(f"{path}: {lines[0]}") from error
        text = "\n  ".join([f"{path}: expected valid settings, got {len(lines)} wrong:", *lines])
        raise ConfigError(text) from error


def check_variables(settings: Settings) -> None:
    """See that every `${VARIABLE}` that settings name is set in the environment.

    Raises:
        ValueError: one is not; names the setting and the variable.
    """
    for name, text in texts(settings, ""):
        for variable in _VARIABLE.findall(text):
            if not os.environ.get(variable):
                raise ValueError(
                    f"{name}: expected the environment variable {variable} to be set, got nothing in '{text}'. "
                    f"Run `export {variable}=…`, or write the value itself."
                )


def texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Walk the texts in settings, each with its dotted name, which begins with `where`."""
    if isinstance(value, str):
        yield where, value
        return
    inner: dict[Any, Any] = {}
    if isinstance(value, BaseModel) or dataclasses.is_dataclass(value):
        inner = dict(value.__dict__)
    elif isinstance(value, dict):
        inner = value
    elif isinstance(value, list | tuple):
        inner = dict(enumerate(value))
    for name, one in inner.items():
        yield from texts(one, f"{where}.{name}".lstrip("."))


def parse_yaml(text: str) -> Any:
    """Read one YAML document; `yes`, `no`, `on` and `off` are texts (YAML 1.2), so that `no` is a language.

    Raises:
        yaml.YAMLError: it is none, has a key twice, is nested too deeply, or aliases stand for too much.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader)
    except (ValueError, OverflowError, AttributeError) as error:  # a 13th month, 5,000 digits, `!!timestamp soon`
        raise yaml.YAMLError("a number, a date or a time that is none") from error
    except RecursionError as error:
        raise yaml.YAMLError("values nested too deeply") from error


class _Loader(yaml.SafeLoader):
    """Reads YAML, but nothing that it would silently lose or that fills the memory."""

    def get_single_node(self) -> yaml.Node | None:
        """Compose the document, and count what it stands for."""
        node: yaml.Node | None = super().get_single_node()
        if node is not None and _count_values(node, {}) > MAX_VALUES:
            raise yaml.YAMLError(f"aliases that stand for more than {MAX_VALUES:,} values")
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Read a mapping, every key once."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for place, (key, _) in enumerate(node.value):
            if key.value in names[:place]:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key.value}' twice", key.start_mark)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not (tag.endswith(":bool") and first in "yYnNoO")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _count_values(node: yaml.Node, known: dict[int, int]) -> int:
    if id(node) not in known:
        known[id(node)] = MAX_VALUES + 1  # a node within itself has no end
        entries = node.value if isinstance(node, yaml.SequenceNode) else []
        if isinstance(node, yaml.MappingNode):
            entries = [entry for pair in node.value for entry in pair]
        known[id(node)] = 1 + sum(_count_values(entry, known) for entry in entries)
    return known[id(node)]


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise ConfigError(f"--set: expected stage.key=value, got '{override}'. Write e.g. --set plan_batches.seed=7.")
    try:
        value = parse_yaml(text)
    except yaml.YAMLError as error:
        got = " ".join(str(error).split())
        raise ConfigError(f"{key}: expected a YAML value, got '{text}' ({got}). Quote it.") from error
    place = content
    for name in names[:-1]:
        inner = place.get(name)
        if inner is None:
            inner = place[name] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"{key}: expected '{name}' to hold settings, got {inner!r}. Check the key.")
        place = inner
    place[names[-1]] = value
