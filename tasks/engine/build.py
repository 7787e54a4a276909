"""Where a Promise meets the store: is its dataset there, and if not, build it."""

import contextlib
import datetime
import fcntl
import importlib.metadata
import logging
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from storage import (
    DamagedDataset,
    Input,
    Manifest,
    MissingDataset,
    Writer,
    backend,
    check_dataset,
    commit,
    discard,
    find,
    fingerprint,
    load,
    salvage,
)
from tasks.engine.job import Job, Progress
from tasks.engine.step import Promise

_LIBRARIES = ("faiss-cpu", "polars", "pyarrow", "pyserini", "scikit-learn", "tokenizers", "torch", "transformers")


@dataclass(frozen=True)
class Surroundings:
    """What a build may use; none of it changes a result."""

    device: str
    batch_tokens: int
    threads: int
    progress: Progress


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
    ref = promise.ref(root)
    try:
        manifest = find(ref)
        if manifest is None:
            return State(None, "not built")
        check_dataset(ref, manifest)
    except DamagedDataset as damage:
        return State(None, str(damage), damaged=True)
    recorded = {entry.name: entry.content for entry in manifest.inputs}
    for name, entry in promise.inputs.items():
        now = _content(entry, root)
        if now is not None and now != recorded.get(name):
            return State(None, f"input {name} changed")
    return State(manifest, "cached")


def _content(promise: Promise, root: str) -> str | None:
    try:
        return load(promise.ref(root)).content
    except (MissingDataset, DamagedDataset):
        return None  # the input's own state says so, and it is built first


def build(promise: Promise, root: str, surroundings: Surroundings, *, refresh: bool = False) -> Manifest:
    """Build a Promise's dataset and commit it.

    A killed build goes on from its committed shards and its scratch folder; a damaged dataset keeps its sound parts.

    Args:
        promise: its inputs must be built.
        root: the store.
        surroundings: device, batch size and such.
        refresh: build all of it again, whatever is there.

    Returns:
        The manifest of the dataset.

    Raises:
        MissingDataset, DamagedDataset: an input is not there or not sound; names it.
    """
    ref, stored = promise.ref(root), state(promise, root)
    if stored.damaged and not refresh:
        salvage(ref)
    elif refresh or stored.reason != "not built":
        discard(ref)
    inputs = [_input(name, entry, root) for name, entry in promise.inputs.items()]
    log = logging.getLogger(f"polyloom.{promise.step.name}")
    started, created = time.monotonic(), datetime.datetime.now(datetime.UTC)
    with _scratch(ref.uri, keep=not refresh) as scratch:
        writer = Writer(ref)
        job = Job(
            out=writer,
            device=surroundings.device,
            batch_tokens=surroundings.batch_tokens,
            threads=surroundings.threads,
            scratch=scratch,
            progress=surroundings.progress,
            log=log,
        )
        promise.run(job, root)
        return commit(
            writer,
            step=promise.step.name,
            code=promise.step.code,
            arguments=promise.settings,
            inputs=inputs,
            versions=_versions(),
            created_at=created.isoformat(timespec="seconds"),
            seconds=round(time.monotonic() - started, 3),
            peak_memory_bytes=_peak_memory_bytes(),
        )


def _input(name: str, promise: Promise, root: str) -> Input:
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


def sweep(promise: Promise, root: str) -> None:
    """Remove what a build of a committed dataset left that was killed right after its commit; a live build's stays."""
    folder = _scratch_folder(promise.ref(root).uri)
    if folder.exists() and (lock := _lock(folder)) is not None:
        shutil.rmtree(folder)
        os.close(lock)


def _scratch_folder(uri: str) -> Path:
    base = backend.local_path(uri) if backend.is_local(uri) else backend.cache() / fingerprint(uri)
    return base / "scratch"


@contextlib.contextmanager
def _scratch(uri: str, *, keep: bool) -> Iterator[Path]:
    """Give a build its scratch folder: the one a killed build left, unless another live build holds it."""
    folder = _scratch_folder(uri)
    lock = _lock(folder)
    if lock is None:
        with tempfile.TemporaryDirectory(prefix="polyloom-") as temporary:
            yield Path(temporary)
        return
    try:
        if not keep:
            shutil.rmtree(folder / "work", ignore_errors=True)
        (folder / "work").mkdir(exist_ok=True)
        yield folder / "work"
        shutil.rmtree(folder)
    finally:
        os.close(lock)


def _lock(folder: Path) -> int | None:
    """Lock a folder for this process; the kernel lets go when the process dies. None: another build holds it."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "lock"
        lock = os.open(path, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        if path.exists() and path.stat().st_ino == os.fstat(lock).st_ino:
            return lock
        os.close(lock)  # the build that held it has just finished and removed the folder
