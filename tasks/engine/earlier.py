"""Which dataset a build may take rows over from: the last one of the same step and settings."""

import contextlib
from collections.abc import Iterable, Mapping
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
    texts, ref = promise.step.texts, promise.ref(root)
    if not texts:
        return None
    with contextlib.suppress(MissingDataset, DamagedDataset):  # an input that is not built yet
        others = {
            name: load(entry.ref(root)).content for name, entry in promise.inputs.items() if not _tells(texts, name)
        }
        wanted = _identity(promise.step.code, promise.settings, promise.inputs, others)
        for found, manifest in reversed(list(inspect.datasets(ref.root, ref.kind, ref.partition))):
            others = {entry.name: entry.content for entry in manifest.inputs if not _tells(texts, entry.name)}
            names = [entry.name for entry in manifest.inputs]
            if (
                manifest.step == promise.step.name
                and _identity(manifest.code, manifest.arguments, names, others) == wanted
                and _texts_are_there(promise, manifest, root)
            ):
                told = {entry.name: entry.ref(ref.root) for entry in manifest.inputs if _tells(texts, entry.name)}
                return Earlier(found, manifest, told)
    return None


def say_known(promise: Promise, root: str) -> str:
    """Say what a build will take over; how many rows, where that follows from the texts of one input that is built."""
    if (earlier := find_earlier(promise, root)) is None:
        return ""
    known = count_known(promise, root, earlier)
    rows = (
        f"{known:,} rows" if known is not None else f"those of the {earlier.manifest.rows:,} rows whose texts are there"
    )
    return f"takes over {rows} ({earlier.ref})"


def count_known(promise: Promise, root: str, earlier: Earlier) -> int | None:
    """Count the rows that a build will take over; None where only the build will tell."""
    name, *others = promise.step.texts
    with contextlib.suppress(MissingDataset, DamagedDataset):
        content = load(promise.inputs[name].ref(root))
        if not others and content.rows <= _COUNTED:
            told = pl.struct([column for column in ("title", "text") if column in content.columns]).hash().alias("told")
            now, then = (scan(ref).select(told) for ref in (promise.inputs[name].ref(root), earlier.inputs[name]))
            return int(now.join(then.unique(), on="told", how="semi").select(pl.len()).collect().item())
    return None


def _tells(texts: Iterable[str], name: str) -> bool:
    """Say whether an input, as `corpus` or `named.0`, belongs to one of these arguments."""
    return name.partition(".")[0] in texts


def _identity(code: str, arguments: Mapping[str, Any], inputs: Iterable[str], contents: dict[str, str]) -> str:
    """Hash what decides a row beside its texts: inputs count by what they hold."""
    read = {name.partition(".")[0] for name in inputs}
    settings = {name: value for name, value in arguments.items() if name not in read}
    return fingerprint([code, settings, sorted(read), contents])


def _texts_are_there(promise: Promise, manifest: Manifest, root: str) -> bool:
    """Say whether the inputs with the texts hold what they held, and are of the same split as a Promise's."""
    for entry in manifest.inputs:
        if _tells(promise.step.texts, entry.name):
            try:
                then = load(entry.ref(root))
            except (MissingDataset, DamagedDataset):  # `gc` took it
                return False
            now = promise.inputs.get(entry.name)
            if then.content != entry.content or (now and now.settings.get("split") != then.arguments.get("split")):
                return False
    return True
