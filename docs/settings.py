"""Write docs/settings.md and docs/settings.schema.json from the configuration's models: `make settings`.

What a setting makes again is found by trying: it is changed in configurations that use it, and the steps are named
whose own arguments change. What is made of theirs follows where it comes out different.
"""

import copy
import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from flows.configs import PipelineConfig
from flows.weave import weave

HERE = Path(__file__).parent
INTRODUCTION = """# Settings

*Made by `make settings` from the models; a test holds it to them.* {count} settings, counting those of a class that
stands in two places once.

A configuration is a YAML file of these; `languages` is the only one that is needed, and `--set section.name=value`
changes one. *Makes again* names the steps whose own arguments a change alters, in the configurations that have them:
they run again, and what is made of their datasets follows where these come out different. *nothing*: it is in no
fingerprint. Editors that speak JSON Schema complete and check configurations whose first line names
[settings.schema.json](settings.schema.json).
"""
Made = frozenset[tuple[str, str, str]]  # stage, step, partition and its own arguments
_Base = tuple[dict[str, Any], Made]


class Leaf(NamedTuple):
    """One setting."""

    path: str
    """Dotted; 0 stands for an entry of a list."""
    owner: type
    field: FieldInfo
    excluded: bool
    """From fingerprints: itself, or what it is part of."""


def leaves(model: type = PipelineConfig, prefix: str = "", excluded: bool = False) -> Iterator[Leaf]:
    """Walk the settings."""
    for name, field in _fields(model).items():
        out = excluded or bool(field.exclude)
        within = list(_within(field.annotation))
        inner = next((one for one in within if isinstance(one, type) and _fields(one)), None)
        listed = any(get_origin(one) is tuple for one in within)
        if inner is None or listed:
            yield Leaf(f"{prefix}{name}", model, field, out)
        if inner is not None:
            yield from leaves(inner, f"{prefix}{name}.{'0.' if listed else ''}", out)


def _fields(kind: type) -> dict[str, FieldInfo]:
    """Return the fields of a model, or of a dataclass that declares them in pydantic's words; none of other types."""
    if issubclass(kind, BaseModel):
        return kind.model_fields
    if not dataclasses.is_dataclass(kind):
        return {}
    hints = get_type_hints(kind, include_extras=True)
    return {
        one.name: FieldInfo.from_annotated_attribute(hints[one.name], Field(default=one.default, **one.metadata))
        for one in dataclasses.fields(kind)
    }


def _within(annotation: Any) -> Iterator[Any]:
    yield annotation
    if get_origin(annotation) in (Union, UnionType, tuple, Annotated):
        for one in get_args(annotation):
            yield from _within(one)


def count() -> int:
    """Count the settings; those of a class that stands in two places, or is part of another, count once."""
    named = [(leaf.owner, leaf.path.rpartition(".")[2]) for leaf in leaves()]
    return len(
        {
            (next(one for one in owner.__mro__ if name in vars(one).get("__annotations__", {})), name)
            for owner, name in named
        }
    )


def made_again(leaf: Leaf, bases: list[_Base], tried: dict[str, Any]) -> set[tuple[str, str]]:
    """Change a setting in every configuration and see which steps get other arguments: stage and step.

    Raises:
        ValueError: none does, though the setting is in fingerprints.
    """
    made: set[tuple[str, str]] = set()
    for content, before in bases:
        for value in [tried["other"][leaf.path]] if leaf.path in tried["other"] else _others(leaf):
            changed = copy.deepcopy(content)
            try:
                _put(changed, leaf.path, value)
                after = _weave(changed)
            except (ValueError, LookupError, FileNotFoundError):  # a value that this configuration cannot have
                continue
            if after != before:
                made |= {(stage, step) for stage, step, _ in after ^ before}
                break
    if made or leaf.excluded or leaf.path.startswith(tuple(tried["not_of_a_step"])):
        return made
    raise ValueError(
        f"make settings: expected {leaf.path} to change a step, got none that does. Add a configuration that "
        "uses it to docs/settings_tried.yaml."
    )


def _weave(content: dict[str, Any]) -> Made:
    made = set()
    for promise in weave(PipelineConfig.model_validate(content)).promises:
        own = json.dumps(promise.settings, sort_keys=True)
        for one in promise.inputs.values():
            own = own.replace(one.fingerprint, "")
        made.add((promise.step.path.split(".")[1], promise.step.name, f"{promise.partition} {own}"))
    return frozenset(made)


def _put(content: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    place: Any = content
    for parent in parents:
        place = place[int(parent)] if parent.isdigit() else place.setdefault(parent, {})
    place[name] = value


def _others(leaf: Leaf) -> Iterator[Any]:
    """Name values that differ from the default."""
    default = leaf.field.get_default(call_default_factory=True)
    for one in _within(leaf.field.annotation):
        if get_origin(one) is Literal:
            yield from (choice for choice in get_args(one) if choice != default)
        elif one is bool:
            yield not default
        elif one is str:
            yield f"{leaf.path.rpartition('.')[2]}_2"
        elif one is int:
            yield from ((default if isinstance(default, int) else 1) + step for step in (1, 500, -1))
        elif one is float:
            yield from ((default if isinstance(default, float) else 0.5) * factor for factor in (0.5, 1.1))
            yield 0.25
        elif get_origin(one) is tuple and set(get_args(one)) <= {int, float, ...}:
            yield [0.1, 0.5] if float in get_args(one) else [8]


def _type(field: FieldInfo) -> str:
    names = []
    for one in get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else [field.annotation]:
        kind = get_args(one)[0] if get_origin(one) is Annotated else one
        if get_origin(kind) is Literal:
            names.append(" ".join(f"`{choice}`" for choice in get_args(kind)))
        elif get_origin(kind) is tuple:
            entry = get_args(kind)[0]
            names.append(f"list of {entry.__name__ if isinstance(entry, type) else 'names'}")
        elif get_origin(kind) is dict:
            names.append("names to values")
        elif kind is not type(None):
            names.append(kind.__name__)
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limits = [
        f"{sign} {getattr(one, at):g}" for one in field.metadata for at, sign in signs.items() if hasattr(one, at)
    ]
    return " ".join([" or ".join(names), ", ".join(limits)]).strip()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if value in (None, "", (), {}):
        return "empty"
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return f"`{text}`"


def _steps(made: set[tuple[str, str]]) -> str:
    if len(made) > 6:
        return "steps of " + ", ".join(sorted({stage for stage, _ in made}))
    by_stage: dict[str, list[str]] = {}
    for stage, step in sorted(made):
        by_stage.setdefault(stage, []).append(f"`{step}`")
    return "; ".join(f"{stage}: {', '.join(steps)}" for stage, steps in by_stage.items()) or "nothing"


def page() -> str:
    """Return docs/settings.md."""
    with tempfile.TemporaryDirectory() as folder:
        _files(Path(folder))
        tried = yaml.safe_load((HERE / "settings_tried.yaml").read_text(encoding="utf-8").replace("$DATA", folder))
        contents = [{"languages": ["en", "fi"], **one} for one in tried["configurations"]]
        bases = [(content, _weave(content)) for content in contents]
        rows: dict[str, list[str]] = {}
        for leaf in leaves():
            section = leaf.path.partition(".")[0] if "." in leaf.path else "top level"
            cells = [f"`{leaf.path.replace('.0.', '[].')}`", _type(leaf.field), _default(leaf.field),
                     leaf.field.description or "", _steps(made_again(leaf, bases, tried))]  # fmt: skip
            rows.setdefault(section, []).append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    head = "| setting | type | default | meaning | makes again |\n|---|---|---|---|---|"
    parts = [f"## {section}\n\n{head}\n" + "\n".join(lines) + "\n" for section, lines in rows.items()]
    return "\n".join([INTRODUCTION.format(count=count()), *parts])


def schema() -> str:
    """Return docs/settings.schema.json."""
    return json.dumps(PipelineConfig.model_json_schema(), indent=1, ensure_ascii=False) + "\n"


def _files(folder: Path) -> None:
    """Write two sets of input files that differ, in two languages."""
    endings = {"queries": "tsv", "qrels": "tsv", "passages": "jsonl"}
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "llm.gguf").write_text(name)
        for language in ("en", "fi"):
            (folder / name / f"{language}.jsonl").write_text(f"{name} {language}")
            for what, ending in endings.items():
                for split in ("train", "dev", "other"):
                    (folder / name / f"{language}-{what}-{split}.{ending}").write_text(f"{name} {split}")


if __name__ == "__main__":
    (HERE / "settings.md").write_text(page(), encoding="utf-8")
    (HERE / "settings.schema.json").write_text(schema(), encoding="utf-8")
