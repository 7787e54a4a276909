"""Which dataset a build may take rows over from: the last one of the same step and settings."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from storage import DamagedDataset, Manifest, MissingDataset, fingerprint, inspect, load, scan
from tasks.engine.known import Earlier
from tasks.engine.step import Promise

_COUNTED = 1_000_000  # rows whose texts are compared beforehand: seconds


def find_earlier(promise: Promise, root: str) -> Earlier | None:
    """Find the newest dataset that differs from a Promise's in its texts alone, and whose texts are still there.

    Code and settings are the same, and the inputs that hold no texts hold the same. One of another split's queries is
    passed over: it shares no texts.
    """
    told, ref = promise.step.texts, promise.ref(root)
    if not told:
        return None
    with contextlib.suppress(MissingDataset, DamagedDataset):  # an input that is not built yet
        contents = {
            name: "" if _argument(name) in told else load(entry.ref(root)).content
            for name, entry in promise.inputs.items()
        }
        wanted = _identity(promise, promise.step.code, promise.settings, contents)
        for found, manifest in reversed(list(inspect.datasets(ref.root, ref.kind, ref.partition))):
            contents = {entry.name: entry.content for entry in manifest.inputs}
            same = wanted == _identity(promise, manifest.code, manifest.arguments, contents)
            if same and manifest.step == promise.step.name and _texts_are_there(promise, manifest, root):
                texts = {entry.name: entry.ref(ref.root) for entry in manifest.inputs if _argument(entry.name) in told}
                return Earlier(found, manifest, texts)
    return None


@dataclass(frozen=True)
class Takeover:
    """The dataset that a build will take rows over from, and how many; None: only the build will tell."""

    earlier: Earlier
    rows: int | None

    def __str__(self) -> str:
        """Say it, for a reader of the plan."""
        some = f"those of the {self.earlier.manifest.rows:,} rows whose texts are there"
        return f"takes over {some if self.rows is None else f'{self.rows:,} rows'} ({self.earlier.ref})"


def find_takeover(promise: Promise, root: str) -> Takeover | None:
    """Find what a build will take over, and count the rows, where that follows from the texts of one built input."""
    if (earlier := find_earlier(promise, root)) is None:
        return None
    name, *others = promise.step.texts
    with contextlib.suppress(MissingDataset, DamagedDataset):
        content = load(promise.inputs[name].ref(root))
        if not others and content.rows <= _COUNTED:
            told = pl.struct([column for column in ("title", "text") if column in content.columns]).hash().alias("told")
            now, then = (scan(ref).select(told) for ref in (promise.inputs[name].ref(root), earlier.inputs[name]))
            known = now.join(then.unique(), on="told", how="semi").select(pl.len()).collect().item()
            return Takeover(earlier, int(known))
    return Takeover(earlier, None)


def _argument(name: str) -> str:
    """Name the argument that an input, as `corpus` or `named.0`, belongs to."""
    return name.partition(".")[0]


def _identity(promise: Promise, code: str, arguments: Mapping[str, Any], contents: Mapping[str, str]) -> str:
    """Hash what decides a row beside its texts: inputs, by name, count by what they hold."""
    inputs = {_argument(name) for name in contents}
    settings = {name: value for name, value in arguments.items() if name not in inputs}
    others = {name: content for name, content in contents.items() if _argument(name) not in promise.step.texts}
    return fingerprint([code, settings, sorted(inputs), others])


def _texts_are_there(promise: Promise, manifest: Manifest, root: str) -> bool:
    """Say whether the inputs with the texts hold what they held, and are of the same split as a Promise's."""
    for entry in manifest.inputs:
        if _argument(entry.name) in promise.step.texts:
            try:
                then = load(entry.ref(root))
            except (MissingDataset, DamagedDataset):  # `gc` took it
                return False
            now = promise.inputs.get(entry.name)
            if then.content != entry.content or (now and now.settings.get("split") != then.arguments.get("split")):
                return False
    return True
