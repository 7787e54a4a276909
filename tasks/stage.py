"""What a stage is: a function that makes one dataset, and the Step that promises the dataset before it is made.

Calling a stage runs nothing: it returns a Step, whose fingerprint follows from the code, the settings and the
fingerprints of its inputs. So the whole pipeline is known, named and compared with the store before the first byte
is read.
"""

import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from storage import SCHEMAS, DatasetRef, fingerprint
from tasks.code import body_fingerprint
from tasks.job import Job

__all__ = ["Job", "Resource", "Settings", "Stage", "Step", "deferred", "stage"]

Resource = Literal["cpu", "model", "jvm"]
Body = Callable[..., None]


class Settings(BaseModel):
    """Base of all settings: frozen, unknown names refused. Fields with `exclude=True` stay out of fingerprints."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class deferred:  # noqa: N801 - reads as a statement: `fuse = deferred("tasks.retrieve.fuse")`
    """A module that is imported when a stage is built, so that planning a pipeline loads no torch, faiss or Java."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


@dataclass(frozen=True)
class Stage:
    """One kind of work: a body and the kind of dataset that it makes."""

    body: Body
    produces: str
    resource: Resource

    @property
    def name(self) -> str:
        """The body's name: verb and noun."""
        return self.body.__name__

    @functools.cached_property
    def code(self) -> str:
        """Fingerprint of the body and of all code that it reaches."""
        return body_fingerprint(self.body)

    def __call__(self, partition: str = "all", **arguments: Any) -> "Step":
        """Promise the dataset that the body would make of these arguments.

        Args:
            partition: a language, or `all`.
            arguments: the body's keywords but `job`: Steps (alone, in a list or in a dict), Settings, plain values.

        Raises:
            TypeError: the arguments are not the body's.
        """
        inspect.signature(self.body).bind(None, **arguments)
        return Step(self, partition, arguments)


def stage(*, produces: str, resource: Resource = "cpu") -> Callable[[Body], Stage]:
    """Declare a stage.

    Args:
        produces: the kind of dataset, a key of `storage.SCHEMAS`.
        resource: what it needs a share of while it runs: `model` (a network or the GPU; one at a time), `jvm`, or
            `cpu`.

    Raises:
        ValueError: the kind has no schema.
    """
    if produces not in SCHEMAS:
        raise ValueError(
            f"stage: expected a kind of {sorted(SCHEMAS)}, got '{produces}'. Add it to storage/schemas.py."
        )
    return lambda body: Stage(body, produces, resource)


@dataclass(frozen=True, eq=False)
class Step:
    """A promise of one dataset: a stage, a partition and the arguments."""

    stage: Stage
    partition: str
    arguments: Mapping[str, Any] = field(repr=False)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Name of the dataset: hash of the code, the settings and the inputs' fingerprints."""
        return fingerprint({"stage": self.stage.name, "code": self.stage.code, "arguments": self.settings})

    @functools.cached_property
    def settings(self) -> dict[str, Any]:
        """The arguments as JSON: an input as its dataset's name, Settings without their excluded fields."""
        return {name: _describe(value) for name, value in self.arguments.items()}

    @functools.cached_property
    def inputs(self) -> dict[str, "Step"]:
        """The Steps among the arguments, by a readable name such as `corpus.sw`."""
        return {name: step for key, value in self.arguments.items() for name, step in _steps(key, value)}

    def ref(self, root: str) -> DatasetRef:
        """Name the dataset in a store."""
        return DatasetRef(
            kind=self.stage.produces, partition=self.partition, fingerprint=self.fingerprint, root=root.rstrip("/")
        )

    def resolve(self, root: str) -> dict[str, Any]:
        """Return the arguments for the body: Steps replaced by their references."""
        return {name: _resolve(value, root) for name, value in self.arguments.items()}

    def run(self, job: Job, root: str) -> None:
        """Call the body."""
        self.stage.body(job, **self.resolve(root))

    def __str__(self) -> str:
        return f"{self.stage.name}-{self.partition}"


def _describe(value: Any) -> Any:
    if isinstance(value, Step):
        return f"{value.stage.produces}/{value.partition}/{value.fingerprint}"
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _describe(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_describe(inner) for inner in value]
    return value


def _steps(name: str, value: Any) -> Iterator[tuple[str, Step]]:
    if isinstance(value, Step):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _steps(f"{name}.{key}", inner)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _steps(f"{name}.{number}", inner)


def _resolve(value: Any, root: str) -> Any:
    if isinstance(value, Step):
        return value.ref(root)
    if isinstance(value, Mapping):
        return {key: _resolve(inner, root) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_resolve(inner, root) for inner in value)
    return value
