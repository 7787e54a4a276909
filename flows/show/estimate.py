"""What a run would cost, before it runs: bytes of embeddings, peak memory and time of what is not built yet."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.configs import ResourcesConfig
from flows.show.costs import SPEEDS, memory, work
from flows.show.expected import Expected
from storage import DatasetRef, Manifest, find, inspect
from tasks.engine.step import Promise

_SHORTEST = 1.0  # seconds: a build that took less says nothing about speed
_PAIRED = ("search_dense", "fuse_vectors")  # their time is in proportion to queries times documents
_ID = 12  # bytes of an id, as they are stored


@dataclass(frozen=True)
class Estimate:
    """What one dataset would cost; None: nothing says."""

    step: str
    rows: int | None
    bytes: int | None
    """Of embeddings; None for other datasets."""
    peak_memory: float | None
    seconds: float | None
    heavy: bool
    """Whether it runs a network or a search."""
    basis: str
    """Where the time comes from: `measured` (a build in this store), `assumed` (a stated speed) or `unknown`."""


def estimate(promises: Sequence[Promise], root: str, resources: ResourcesConfig) -> list[Estimate]:
    """Estimate what building some Promises would cost.

    Rows come from built inputs, else from the settings and the sizes of input files. Time is in proportion to the
    longest build of the same stage in the store, where one took a second or more; else to an assumed speed.

    Args:
        promises: what would be built.
        root: the store.
        resources: device and batch size.
    """
    expected = Expected(root)
    history = functools.cache(lambda kind: [manifest for _, manifest in inspect.datasets(root, kind)])
    cuda = resources.device == "cuda" or (resources.device == "auto" and Path("/dev/nvidia0").exists())
    speeds = SPEEDS["cuda" if cuda else "cpu"]
    found = []
    for promise in promises:
        before = [manifest for manifest in history(promise.step.produces) if manifest.step == promise.step.name]
        seconds, basis = _seconds(promise, expected, _alike(promise, before, expected), speeds, root)
        held = memory(promise, expected, batch_tokens=resources.batch_tokens)
        most = max((manifest.peak_memory_bytes for manifest in before), default=None)
        found.append(
            Estimate(
                step=promise.step.name,
                rows=expected.rows(promise),
                bytes=_bytes(promise, expected),
                peak_memory=held or most,
                seconds=seconds,
                heavy=promise.step.resource == "model" and promise.step.name != "prepare_encoder",
                basis=basis,
            )
        )
    return found


def _bytes(promise: Promise, expected: Expected) -> int | None:
    size = expected.encoder(promise) if promise.step.produces == "embeddings" else None
    rows = expected.rows(promise)
    return None if size is None or rows is None else rows * (2 * size.hidden + _ID)


def _alike(promise: Promise, before: list[Manifest], expected: Expected) -> list[Manifest]:
    """Keep the builds whose speed says something: of the same encoder if there are some, else of one of its width."""
    if promise.step.produces != "embeddings":
        return before
    size = expected.encoder(promise)
    same = [one for one in before if one.arguments["max_tokens"] == promise.arguments["max_tokens"]]
    own = promise.inputs["encoder"].fingerprint
    return [one for one in same if own in {entry.fingerprint for entry in one.inputs}] or [
        one for one in same if size and f"[{size.hidden}]" in one.columns["vector"]
    ]


def _seconds(
    promise: Promise, expected: Expected, before: list[Manifest], speeds: dict[str, float], root: str
) -> tuple[float | None, str]:
    longest = max(before, key=lambda manifest: manifest.seconds, default=None)
    rows = expected.rows(promise)
    if longest and rows is not None and longest.rows and longest.seconds >= _SHORTEST:
        ratio = rows / longest.rows
        if promise.step.name in _PAIRED:
            now, then = _documents(promise, expected), _documents_then(longest, root)
            ratio *= now / then if now and then else 1.0
        return longest.seconds * ratio, "measured"
    amount = work(promise, expected)
    if amount:
        return amount[0] / speeds[amount[1]], "assumed"
    return (longest.seconds, "measured") if longest else (None, "unknown")


def _documents(promise: Promise, expected: Expected) -> int | None:
    names = [name for name in promise.inputs if name.partition(".")[0] == "documents"]
    return expected.rows(promise.inputs[names[0]]) if names else None


def _documents_then(manifest: Manifest, root: str) -> int | None:
    for entry in manifest.inputs:
        if entry.name.partition(".")[0] == "documents":
            ref = DatasetRef(kind=entry.kind, partition=entry.partition, fingerprint=entry.fingerprint, root=root)
            found = find(ref)
            return found.rows if found else None
    return None
