"""Which dataset a build may take rows over from: the last one of the same step and settings."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from storage import DamagedDataset, Manifest, MissingDataset, fingerprint, inspect, load
from tasks.engine.known import Earlier
from tasks.engine.step import Promise


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


def _tells(texts: Iterable[str], name: str) -> bool:
    """Say whether an input, as `corpus` or `named.0`, belongs to one of these arguments."""
    return name.partition(".")[0] in texts


def _identity(code: str, arguments: Mapping[str, Any], inputs: Iterable[str], contents: dict[str, str]) -> str:
    """Hash what decides a row beside its texts: inputs count by what they hold."""
    read = {name.partition(".")[0] for name in inputs}
    settings = {name: value for name, value in arguments.items() if name not in read}
    return fingerprint([code, settings, contents])


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
