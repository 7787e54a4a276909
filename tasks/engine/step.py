"""What a step is: a function that makes one dataset, and the Promise of that dataset before it is made.

Calling a step runs nothing: it returns a Promise, whose fingerprint follows from the code, the settings and the
fingerprints of its inputs. So the whole pipeline is known, named and compared with the store before the first byte
is read. A step is declared by the path of its body, which is imported only to run.
"""

import ast
import functools
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from storage import SCHEMAS, DatasetRef, fingerprint
from tasks.engine.code import body_fingerprint, definition
from tasks.engine.job import Job

Resource = Literal["cpu", "model", "jvm"]


_TELLING = ("split", "system", "strategy")  # arguments that tell a Promise from others of its step and partition


class deferred:  # noqa: N801 - reads as a statement: `run_flow = deferred("flows.cli.run_flow")`
    """A module that is imported when something of it is used, so that a cached run loads no Prefect and no torch."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


class Settings(BaseModel):
    """Base of all settings: frozen, unknown names, inf and nan refused. `exclude=True` is out of fingerprints."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


@dataclass(frozen=True)
class Step:
    """One kind of work: a body and the kind of dataset that it makes."""

    path: str
    """Of the body: `module:function`. The function takes a Job, and keywords alone."""
    produces: str
    """The kind of dataset, a key of `storage.SCHEMAS`."""
    resource: Resource = "cpu"
    """What it needs a share of while it runs: `model` (a network or the GPU; one at a time), `jvm`, or `cpu`."""
    sharded: bool = False
    """Whether the body makes each shard that `job.out.missing` names by itself: some without the others."""
    texts: tuple[str, ...] = ()
    """Arguments that hold texts: with all else equal, an earlier dataset's rows hold where their texts are the same."""

    def __post_init__(self) -> None:
        """See that the kind has a schema.

        Raises:
            ValueError: it has none.
        """
        if self.produces not in SCHEMAS:
            raise ValueError(
                f"step {self.path}: expected a kind of {sorted(SCHEMAS)}, got '{self.produces}'. "
                "Add it to storage/schemas.py."
            )

    @property
    def name(self) -> str:
        """The body's name: verb and noun."""
        return self.path.partition(":")[2]

    @functools.cached_property
    def body(self) -> Callable[..., None]:
        """The function; imports its module."""
        body: Callable[..., None] = getattr(importlib.import_module(self.path.partition(":")[0]), self.name)
        return body

    @functools.cached_property
    def code(self) -> str:
        """Fingerprint of the body and of all code that it reaches."""
        return body_fingerprint(self.path)

    @property
    def description(self) -> str | None:
        """The body's docstring."""
        return ast.get_docstring(definition(self.path))

    def __call__(self, partition: str = "all", **arguments: Any) -> "Promise":
        """Promise the dataset that the body would make of these arguments.

        Args:
            partition: a language, or `all`.
            arguments: the body's keywords but `job`: Promises (alone, in a list or in a dict), Settings, plain values.

        Raises:
            TypeError: the arguments are not the body's.
        """
        names, required = _keywords(self.path)
        missing, unknown = sorted(required - set(arguments)), sorted(set(arguments) - names)
        if missing or unknown:
            raise TypeError(f"{self.path}: expected {sorted(names)}, got {missing=}, {unknown=}. Mend the call.")
        return Promise(self, partition, arguments)


@functools.cache
def _keywords(path: str) -> tuple[frozenset[str], frozenset[str]]:
    """Name a body's keywords, and those of them that have no default."""
    arguments = definition(path).args
    defaults = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return frozenset(one.arg for one in arguments.kwonlyargs), frozenset(
        one.arg for one, default in defaults if default is None
    )


@dataclass(frozen=True, eq=False)
class Promise:
    """A dataset before it is made: a step, a partition and the arguments."""

    step: Step
    partition: str
    arguments: Mapping[str, Any] = field(repr=False)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Name of the dataset: hash of the code, the settings and the inputs' fingerprints."""
        return fingerprint({"step": self.step.name, "code": self.step.code, "arguments": self.settings})

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """The arguments as JSON: an input as its dataset's name, Settings without their excluded fields."""
        return {name: _describe(value) for name, value in self.arguments.items()}

    @functools.cached_property
    def inputs(self) -> dict[str, "Promise"]:
        """The Promises among the arguments, by a readable name such as `corpus.sw`."""
        return {name: promise for key, value in self.arguments.items() for name, promise in _promises(key, value)}

    def ref(self, root: str) -> DatasetRef:
        """Name the dataset in a store."""
        return DatasetRef(
            kind=self.step.produces, partition=self.partition, fingerprint=self.fingerprint, root=root.rstrip("/")
        )

    def resolve(self, root: str) -> dict[str, Any]:
        """Return the arguments for the body: Promises replaced by their references."""
        return {name: _resolve(value, root) for name, value in self.arguments.items()}

    def run(self, job: Job, root: str) -> None:
        """Call the body."""
        self.step.body(job, **self.resolve(root))

    def __str__(self) -> str:
        config = self.settings.get("config")
        told = {**self.settings, **(config if isinstance(config, dict) else {})}
        parts = [str(told[name]) for name in _TELLING if isinstance(told.get(name), str)]
        return " ".join([f"{self.step.name}-{self.partition}", *parts])


def _describe(value: Any) -> Any:
    if isinstance(value, Promise):
        return f"{value.step.produces}/{value.partition}/{value.fingerprint}"
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value):  # settings, too
        return TypeAdapter(type(value)).dump_python(value, mode="json")
    if isinstance(value, Mapping):
        return {str(key): _describe(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_describe(inner) for inner in value]
    return value


def _promises(name: str, value: Any) -> Iterator[tuple[str, Promise]]:
    if isinstance(value, Promise):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _promises(f"{name}.{key}", inner)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _promises(f"{name}.{number}", inner)


def _resolve(value: Any, root: str) -> Any:
    if isinstance(value, Promise):
        return value.ref(root)
    if isinstance(value, Mapping):
        return {key: _resolve(inner, root) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_resolve(inner, root) for inner in value)
    return value
