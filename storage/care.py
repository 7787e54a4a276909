"""Care for a store: every checksum read again, what no kept run needs, two datasets beside each other."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from storage import backend, manifest, runs
from storage.errors import DamagedDataset, MissingDataset
from storage.manifest import DatasetRef
from storage.reader import read
from storage.schemas import SCHEMAS

_OLD = 86_400.0  # seconds after which nobody works on a temporary file or a copy of a remote one
_KEYS = ("language", "system", "split", "query_id", "doc_id", "id", "metric", "strategy", "judge", "sample", "attempt")
_KEYS_OF = {"batch_plan": ["epoch", "step", "slot"], "training_log": ["step"], "adapter": ["step"]}


def folders(root: str) -> Iterator[DatasetRef]:
    """Walk the folders of all datasets, those without a readable manifest too."""
    for kind in SCHEMAS:
        for partition in backend.names(f"{root}/{kind}"):
            for name in backend.names(f"{root}/{kind}/{partition}"):
                yield DatasetRef(kind=kind, partition=partition, fingerprint=name, root=root)


def verify(ref: DatasetRef) -> list[str]:
    """Read every byte of a dataset and say what is wrong; nothing remembered of its files counts."""
    try:
        content = manifest.load(ref)
    except MissingDataset:
        return []  # a build that goes on, or was interrupted
    except DamagedDataset as damage:
        return [str(damage)]
    problems = []
    for part in [*content.parts, *content.files]:
        uri = f"{ref.uri}/{part.name}"
        try:
            found = backend.digest(uri)
        except FileNotFoundError:
            problems.append(str(DamagedDataset(ref.uri, uri, "file missing")))
            continue
        if found != part.sha256:
            problem = f"checksum {found[:12]} differs from the manifest's {part.sha256[:12]}"
            problems.append(str(DamagedDataset(ref.uri, uri, problem)))
    return problems


@dataclass(frozen=True)
class Waste:
    """Something that no kept run needs."""

    uri: str
    why: str
    bytes: int


def waste(root: str, keep: int) -> list[Waste]:
    """List what can go: datasets and records of no kept run, interrupted builds, old temporary files and copies.

    Kept are the newest completed runs of each flow and name, all that came after them, and those that go on.

    Args:
        root: the store.
        keep: how many completed runs of a name.
    """
    found = runs.runs(root)
    kept, completed = [], dict.fromkeys([(run.flow, run.name) for run in found], 0)
    for run in found:
        if run.state == "running" or completed[run.flow, run.name] < keep:
            kept.append(run)
        completed[run.flow, run.name] += run.state == "completed"
    if not kept:
        raise MissingDataset(f"gc: expected runs in '{root}' to go by, found none. Run a pipeline first.")
    ids, names = {run.id for run in kept}, {(one.kind, one.partition, one.fingerprint) for r in kept for one in r.datasets}
    living = {(one.kind, one.partition, one.fingerprint) for r in kept if r.state == "running" for one in r.datasets}
    gone = [Waste(f"{root}/{runs.FOLDER}/{run.id}.json", "run", 0) for run in found if run.id not in ids]
    for ref in folders(root):
        name = (ref.kind, ref.partition, ref.fingerprint)
        committed = backend.size(f"{ref.uri}/{manifest.NAME}") is not None
        if name in living or (name in names and committed):
            continue
        why = "dataset of no kept run" if committed else "interrupted build"
        gone.append(Waste(ref.uri, why, _bytes(ref.uri)))
    return gone + _old_files(root)


def _old_files(root: str) -> list[Waste]:
    """List temporary files of this store, and this user's copies of remote ones, that are a day old."""
    local = backend.local_path(root).rglob(".tmp-*") if backend.is_local(root) else ()
    copies = [path for path in backend.cache().iterdir() if path.name.startswith((".tmp-", "folder-")) or "-" in path.name]
    before = time.time() - _OLD
    return [
        Waste(str(path), "temporary file" if path.name.startswith(".tmp-") else "copy of a remote file", _bytes(str(path)))
        for path in (*local, *copies)
        if path.stat().st_mtime < before
    ]


def remove(one: Waste) -> None:
    """Remove something; of a dataset the manifest first, so that half of it is never taken for all."""
    backend.remove(f"{one.uri}/{manifest.NAME}") if one.why.startswith("dataset") else None
    backend.remove_all(one.uri)
