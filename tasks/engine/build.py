"""Where a Promise meets the store: is its dataset there, and if not, build it."""

import datetime
import importlib.metadata
import logging
import resource
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from storage import (
    AlreadyCommitted,
    DamagedDataset,
    Input,
    Manifest,
    MissingDataset,
    Writer,
    backend,
    begin,
    check_dataset,
    commit,
    find,
    fingerprint,
    load,
    salvage,
)
from storage.manifest import NAME as MANIFEST
from tasks.engine.earlier import find_earlier
from tasks.engine.job import Progress
from tasks.engine.known import Earlier
from tasks.engine.shares import Engine, Place, hand_out
from tasks.engine.step import Promise
from tasks.engine.turn import scratch, turn

_LIBRARIES = ("faiss-cpu", "polars", "pyarrow", "pyserini", "scikit-learn", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class Surroundings(Place):
    """Where a build is, and who shows and helps it."""

    progress: Progress
    engine: Engine | None = None
    """Makes shards of a step that is sharded; None: this process alone."""


@dataclass(frozen=True)
class State:
    """Whether a Promise's dataset is there and up to date, and why not."""

    manifest: Manifest | None
    reason: str
    """`cached`, or what is wrong: `not built`, `input … changed`, or the damage with its path."""
    damaged: bool = False

    @property
    def cached(self) -> bool:
        """Nothing is to be done."""
        return self.manifest is not None


def state(promise: Promise, root: str) -> State:
    """Compare a Promise with the store.

    A dataset is up to date when every part is there and sound, and every input holds what it held when the dataset was
    built: an input that was built again with equal content changes nothing.
    """
    with looking_at([promise, *promise.inputs.values()], root):
        return _state(promise, root)


def looking_at(promises: Iterable[Promise], root: str) -> AbstractContextManager[None]:
    """Look at many Promises' datasets at once: in a remote store `state` then asks for none by itself."""
    return backend.held([promise.ref(root).uri for promise in promises], MANIFEST)


def _state(promise: Promise, root: str) -> State:
    ref = promise.ref(root)
    try:
        manifest = find(ref)
        if manifest is None:
            return State(None, "not built")
        recorded = {entry.name: entry.content for entry in manifest.inputs}
        for name, entry in promise.inputs.items():
            now = _content(entry, root)
            if now is not None and now != recorded.get(name):
                return State(None, f"input {name} changed")
        check_dataset(ref, manifest)
    except DamagedDataset as damage:
        return State(None, str(damage), damaged=True)
    return State(manifest, "cached")


def _content(promise: Promise, root: str) -> str | None:
    try:
        return load(promise.ref(root)).content
    except (MissingDataset, DamagedDataset):
        return None  # the input's own state says so, and it is built first


def commit_number(promise: Promise, root: str) -> int | None:
    """Return the number of a dataset's commit, another one after each build; None where there is no readable one."""
    try:
        manifest = find(promise.ref(root))
    except DamagedDataset:
        return None
    return manifest.number if manifest else None


def build(
    promise: Promise, root: str, surroundings: Surroundings, *, replaces: int | None = None
) -> tuple[Manifest, str]:
    """Build a Promise's dataset and commit it, or take what another run has built meanwhile.

    One build of a dataset goes on at a time; others wait. What was committed stays until its successor is complete. A
    killed build goes on from its shards and its scratch folder if its inputs are what they were; a damaged dataset
    keeps its sound parts.

    Args:
        promise: its inputs must be built.
        root: the store.
        surroundings: device, batch size and such.
        replaces: build all of it again in place of the commit of this number, even if that is sound.

    Returns:
        The manifest of the dataset, and why it was built: `refresh` or a state's reason; `cached` if it was not.

    Raises:
        MissingDataset, DamagedDataset: an input is not there or not sound; names it.
    """
    ref, log = promise.ref(root), logging.getLogger(f"polyloom.{promise.step.name}")
    with turn(ref, log) as folder:
        stored = state(promise, root)
        refresh = replaces is not None and commit_number(promise, root) in (replaces, None)
        if stored.manifest and not refresh:
            return stored.manifest, "cached"
        inputs = [recorded_input(name, entry, root) for name, entry in promise.inputs.items()]
        made_from = fingerprint({entry.name: entry.content for entry in inputs})
        resumed = begin(ref, made_from, anew=refresh)
        if stored.damaged and not refresh:
            salvage(ref)
        with scratch(folder, keep=resumed) as work:
            try:
                earlier = None if refresh else find_earlier(promise, root)
                manifest = _run(
                    promise, root, surroundings, inputs, work, earlier, only_new=stored.reason == "not built"
                )
            except AlreadyCommitted:  # on another machine, where this one's locks do not reach
                return load(ref), "cached"
        return manifest, "refresh" if refresh else stored.reason


def _run(
    promise: Promise,
    root: str,
    surroundings: Surroundings,
    inputs: list[Input],
    work: Path,
    earlier: Earlier | None,
    *,
    only_new: bool,
) -> Manifest:
    started, created = time.monotonic(), datetime.datetime.now(datetime.UTC)
    engine = surroundings.engine if promise.step.sharded else None
    give = hand_out(engine, promise, root, surroundings.progress, earlier) if engine else None
    writer = Writer(promise.ref(root), hand_out=give)
    job = surroundings.job(promise.step.name, writer, work, surroundings.progress, earlier)
    promise.run(job, root)
    if taken := sum(part.taken for part in writer.parts):
        job.log.info("%s rows are taken over from an earlier dataset, where their texts are the same.", f"{taken:,}")
    return commit(
        writer,
        only_new=only_new,
        step=promise.step.name,
        code=promise.step.code,
        arguments=promise.settings,
        inputs=inputs,
        versions=_versions(),
        created_at=created.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - started, 3),
        peak_memory_bytes=_peak_memory_bytes(),
    )


def recorded_input(name: str, promise: Promise, root: str) -> Input:
    """Describe an input as manifests do, with what it holds now."""
    manifest = load(promise.ref(root))
    return Input(
        name=name,
        kind=manifest.kind,
        partition=manifest.partition,
        fingerprint=manifest.fingerprint,
        content=manifest.content,
    )


def _peak_memory_bytes() -> int:
    """Return the most memory that this process, or one that it started, has had so far."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * 1024


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("polyloom", *_LIBRARIES)}
