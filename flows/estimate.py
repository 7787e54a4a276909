"""What a run would cost, before it runs: bytes of embeddings, peak memory and time of what is not built yet."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.configs import ResourcesConfig
from flows.costs import SPEEDS, memory, work
from flows.expected import Expected
from storage import DatasetRef, Manifest, find, inspect
from tasks.stage import Step

_SHORTEST = 1.0  # seconds: a build that took less says nothing about speed
_PAIRED = ("search_dense", "fuse_vectors")  # their time is in proportion to queries times documents
_ID = 12  # bytes of an id, as they are stored


@dataclass(frozen=True)
class Estimate:
    """What one dataset would cost; None: nothing says."""

    stage: str
    rows: int | None
    bytes: int | None
    """Of embeddings; None for other datasets."""
    peak_memory: float | None
    seconds: float | None
    heavy: bool
    """Whether it runs a network or a search."""
    basis: str
    """Where the time comes from: `measured` (a build in this store), `assumed` (a stated speed) or `unknown`."""


def estimate(steps: Sequence[Step], root: str, resources: ResourcesConfig) -> list[Estimate]:
    """Estimate what building some Steps would cost.

    Rows come from built inputs, else from the settings and the sizes of input files. Time is in proportion to the
    longest build of the same stage in the store, where one took a second or more; else to an assumed speed.

    Args:
        steps: what would be built.
        root: the store.
        resources: device and batch size.
    """
    expected = Expected(root)
    history = functools.cache(lambda kind: [manifest for _, manifest in inspect.datasets(root, kind)])
    cuda = resources.device == "cuda" or (resources.device == "auto" and Path("/dev/nvidia0").exists())
    speeds = SPEEDS["cuda" if cuda else "cpu"]
    found = []
    for step in steps:
        before = [manifest for manifest in history(step.stage.produces) if manifest.stage == step.stage.name]
        seconds, basis = _seconds(step, expected, _alike(step, before, expected), speeds, root)
        held = memory(step, expected, batch_tokens=resources.batch_tokens)
        most = max((manifest.peak_memory_bytes for manifest in before), default=None)
        found.append(
            Estimate(
                stage=step.stage.name,
                rows=expected.rows(step),
                bytes=_bytes(step, expected),
                peak_memory=held or most,
                seconds=seconds,
                heavy=step.stage.resource == "model" and step.stage.name != "prepare_encoder",
                basis=basis,
            )
        )
    return found


def _bytes(step: Step, expected: Expected) -> int | None:
    size = expected.encoder(step) if step.stage.produces == "embeddings" else None
    rows = expected.rows(step)
    return None if size is None or rows is None else rows * (2 * size.hidden + _ID)


def _alike(step: Step, before: list[Manifest], expected: Expected) -> list[Manifest]:
    """Keep the builds whose speed says something: of the same encoder if there are some, else of one of its width."""
    if step.stage.produces != "embeddings":
        return before
    size = expected.encoder(step)
    same = [one for one in before if one.arguments["max_tokens"] == step.arguments["max_tokens"]]
    own = step.inputs["encoder"].fingerprint
    return [one for one in same if own in {entry.fingerprint for entry in one.inputs}] or [
        one for one in same if size and f"[{size.hidden}]" in one.columns["vector"]
    ]


def _seconds(
    step: Step, expected: Expected, before: list[Manifest], speeds: dict[str, float], root: str
) -> tuple[float | None, str]:
    longest = max(before, key=lambda manifest: manifest.seconds, default=None)
    rows = expected.rows(step)
    if longest and rows is not None and longest.rows and longest.seconds >= _SHORTEST:
        ratio = rows / longest.rows
        if step.stage.name in _PAIRED:
            now, then = _documents(step, expected), _documents_then(longest, root)
            ratio *= now / then if now and then else 1.0
        return longest.seconds * ratio, "measured"
    amount = work(step, expected)
    if amount:
        return amount[0] / speeds[amount[1]], "assumed"
    return (longest.seconds, "measured") if longest else (None, "unknown")


def _documents(step: Step, expected: Expected) -> int | None:
    names = [name for name in step.inputs if name.partition(".")[0] == "documents"]
    return expected.rows(step.inputs[names[0]]) if names else None


def _documents_then(manifest: Manifest, root: str) -> int | None:
    for entry in manifest.inputs:
        if entry.name.partition(".")[0] == "documents":
            ref = DatasetRef(kind=entry.kind, partition=entry.partition, fingerprint=entry.fingerprint, root=root)
            found = find(ref)
            return found.rows if found else None
    return None
