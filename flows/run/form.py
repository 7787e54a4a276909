"""What a deployment's form may reach: settings that come from the Prefect UI are held to what the operator allows."""

import os
import re
from collections.abc import Iterable, Sequence

from huggingface_hub.constants import HF_HUB_CACHE
from prefect.runtime import deployment

from flows.settings_file import ConfigError, texts
from tasks.engine.step import Promise, Settings
from tasks.ingest.config import Source
from tasks.models.chat.config import ChatConfig

ROOTS = "POLYLOOM_ROOTS"
KEYS = "POLYLOOM_KEY_VARIABLES"
_WORDS = ("name", "query_prompt", "document_prompt")  # texts that are no places, whatever stands in them
_VARIABLE = re.compile(r"\$\{(\w+)\}(?=/|$)")


def check_form(*configs: Settings) -> None:
    """Hold settings to the operator's lists if a deployment's run brings them; on the command line all is allowed.

    Args:
        configs: what the form gave.

    Raises:
        ConfigError: a setting names a place or a key that is not the form's to use.
    """
    if deployment.id is None:
        return
    roots = _roots()
    bound = [entry.partition("=") for entry in os.environ.get(KEYS, "").split(",")]
    for config in configs:
        confine(config, roots, [(variable, url) for variable, _, url in bound if url])


def check_place(name: str, place: str) -> None:
    """Hold one place that a deployment's form names to the operator's list.

    Args:
        name: of the field.
        place: a file or folder.

    Raises:
        ConfigError: it is not the form's to use.
    """
    if deployment.id is not None and not _allowed(place, _roots()):
        raise ConfigError(_refusal(name, place))


def check_files(promises: Iterable[Promise]) -> None:
    """See that a pattern of the form matched no link that leads out of the roots.

    Raises:
        ConfigError: an input file lies elsewhere.
    """
    if deployment.id is None:
        return
    roots = [HF_HUB_CACHE, *_roots()]
    for promise in promises:
        given = [one.values() if isinstance(one, dict) else [one] for one in promise.arguments.values()]
        sources = [one for values in given for one in values if isinstance(one, Source)]
        for file in (file for source in sources for file in source.files):
            if not _allowed(file.path, roots):
                raise ConfigError(_refusal(f"ingest ({promise.step.name})", file.path))


def confine(config: Settings, roots: Sequence[str], bound: Sequence[tuple[str, str]]) -> None:
    """See that settings name nothing but places below the roots, and keys where they may be sent.

    A variable stands for a whole folder below the roots, or for nothing: what else the environment holds, no message
    and no dataset can show.

    Args:
        config: all settings.
        roots: folders, and URLs such as `s3://bucket/prefix`.
        bound: environment variables with keys, each with a URL that its key may be sent to.

    Raises:
        ConfigError: one does; names the setting, never a variable's value.
    """
    found = dict(texts(config, ""))
    for name, text in found.items():
        last = name.rpartition(".")[2]
        if last == "base_url":
            _check_endpoint(name, text, found[f"{name.removesuffix(last)}api_key_variable"], roots, bound)
        elif not (last in _WORDS or last == "api_key_variable" or ".columns." in name or _allowed(text, roots)):
            raise ConfigError(_refusal(name, text))


def _roots() -> list[str]:
    return [os.getcwd(), *filter(None, os.environ.get(ROOTS, "").split(","))]


def _check_endpoint(name: str, url: str, variable: str, roots: Sequence[str], bound: Sequence[tuple[str, str]]) -> None:
    section = name.removesuffix(".base_url")
    if not re.fullmatch(r"[A-Z0-9_]+_API_KEY", variable) and variable not in {known for known, _ in bound}:
        raise ConfigError(
            f"{section}.api_key_variable: expected a name that ends in _API_KEY or that {KEYS} lists, got "
            f"'{variable}'. Name another one, or ask who runs the worker to list it."
        )
    homes = [home for known, home in bound if known == variable]
    if os.environ.get(variable) and not _allowed(url, homes):
        raise ConfigError(
            f"{name}: expected a URL that the key in {variable} may be sent to, got '{url}'. Ask who runs the worker "
            f"to list {variable}=<URL> in {KEYS}."
        )
    if url != ChatConfig.model_fields["base_url"].default and not ("://" in url and _allowed(url, [*roots, *homes])):
        raise ConfigError(_refusal(name, url))


def _allowed(text: str, roots: Sequence[str]) -> bool:
    """Say whether a text, taken as a place, lies below one of the roots, links followed."""
    variable = _VARIABLE.match(text)
    place = os.environ.get(variable[1], "") + text[variable.end() :] if variable else text
    if "$" in place or "::" in place or "\0" in place or ".." in re.split(r"[/\\]", place):
        return False
    if "://" in place:
        return any("://" in root and _below(place, root.rstrip("/")) for root in roots)
    path = os.path.expanduser(place)
    if variable and not os.path.isabs(path):
        return False
    real = os.path.realpath(path)
    return any("://" not in root and _below(real, os.path.realpath(root)) for root in roots)


def _below(place: str, root: str) -> bool:
    """Say whether a place is a root or below it; nothing hidden (.env, .git) counts."""
    rest = place.removeprefix(root) if place.startswith(root) else None
    return rest is not None and (not rest or (rest.startswith("/") and "/." not in rest))


def _refusal(name: str, text: str) -> str:
    return (
        f"{name}: expected a place below the deployment's folder, or below one that {ROOTS} lists, got '{text}'. "
        "Ask who runs the worker to list it, or run polyloom on the command line."
    )
