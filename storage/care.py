"""Care for a store: every checksum read again, what no kept run needs, two datasets beside each other."""

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from storage import backend, latest, manifest, runs
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
            for name in backend.names(f"{root}/{kind}/{partition}") if f"{kind}/{partition}" != latest.FOLDER else ():
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
            with backend.open_file(uri) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
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
    """List what can go: datasets, records and reports of no kept run, interrupted builds, old temporary files, copies.

    Kept are the newest completed runs of each flow and name, all that came after them, those that go on, and those
    whose models are the ones to use.

    Args:
        root: the store.
        keep: how many completed runs of a name.

    Raises:
        MissingDataset: there are no runs, or a record cannot be read, which may need anything.
    """
    found = [runs.read(root, one) for one in reversed(runs.ids(root))]
    kept, completed = [], dict.fromkeys([(run.flow, run.name) for run in found], 0)
    used = {one.run for one in latest.everyone(root)}
    for run in found:
        if run.id in used or run.state == "running" or completed[run.flow, run.name] < keep:
            kept.append(run)
        completed[run.flow, run.name] += run.state == "completed"
    if not kept:
        raise MissingDataset(f"gc: expected runs in '{root}' to go by, found none. Run a pipeline first.")
    needed = {one.ref(root) for run in kept for one in run.datasets}
    living = {one.ref(root) for run in kept if run.state == "running" for one in run.datasets}
    records = [f"{root}/{runs.FOLDER}/{run.id}.json" for run in found if run not in kept]
    shown = {run.report for run in kept} | {
        runs.report_uri(root, one) for one in (runs.ABLATION, *(run.id for run in kept))
    }
    reports = [f"{root}/{runs.REPORTS}/{name}" for name in backend.names(f"{root}/{runs.REPORTS}")]
    gone = [Waste(uri, "record of a run", _bytes(uri)) for uri in records]
    gone += [Waste(uri, "report of a run", _bytes(uri)) for uri in reports if uri not in shown]
    for ref in folders(root):
        committed = backend.size(f"{ref.uri}/{manifest.NAME}") is not None
        if ref in living or (ref in needed and committed):
            continue
        why = "dataset of no kept run" if committed else "interrupted build"
        gone.append(Waste(ref.uri, why, _bytes(ref.uri)))
    return gone + _old_files(root)


def _old_files(root: str) -> list[Waste]:
    """List temporary files of this store, and this user's copies of remote stores' files, that are a day old."""
    folder, before = backend.cache() / "copies", time.time() - _OLD
    walked = os.walk(backend.local_path(root)) if backend.is_local(root) else ()
    inner = [Path(place, name) for place, folders, files in walked for name in (*folders, *files)]
    found = [(path, "temporary file") for path in inner if path.name.startswith(".tmp-")]
    found += [(folder / name, "copy of a remote file") for name in backend.names(str(folder))]
    return [Waste(str(path), why, _bytes(str(path))) for path, why in sorted(found) if _changed(path) < before]


def _changed(path: Path) -> float:
    """Return when a file or folder was changed last; now, where it has just gone: others are at work in the store."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return time.time()


def remove(one: Waste) -> None:
    """Remove something; of a dataset the manifest first, so that half of it is never taken for all."""
    if not backend.is_local(one.uri):
        for uri in sorted(_files(one.uri), key=lambda uri: not uri.endswith(f"/{manifest.NAME}")):
            backend.remove(uri)
    elif (path := backend.local_path(one.uri)).is_dir():
        with contextlib.suppress(FileNotFoundError):  # it goes by itself, or another one removes it
            (path / manifest.NAME).unlink(missing_ok=True)
            shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _files(uri: str) -> Iterator[str]:
    inner = backend.names(uri)
    if inner in ([], [uri.rpartition("/")[2]]):  # a file; a remote store lists it in itself
        yield uri
        return
    for name in inner:
        yield from _files(f"{uri}/{name}")


def _bytes(uri: str) -> int:
    return sum(backend.size(one) or 0 for one in _files(uri))


def differences(ref: DatasetRef, other: DatasetRef) -> dict[str, Any]:
    """Compare the rows of two datasets of a kind by their key.

    Returns:
        `key`: its columns; `added`, `removed` and `changed`: numbers of rows of `other`; `columns`: of the changed
        rows, how many differ in each column.

    Raises:
        ValueError: they are of two kinds.
    """
    if ref.kind != other.kind:
        raise ValueError(f"diff: expected two datasets of one kind, got {ref} and {other}. Name two of a kind.")
    one, two = read(ref), read(other)
    key = _KEYS_OF.get(ref.kind) or [name for name in one.columns if name in _KEYS] or one.columns
    rest = [name for name in one.columns if name not in key]
    both = one.join(two, on=key, suffix=" other", nulls_equal=True)
    unlike = both.select(pl.col(name).ne_missing(pl.col(f"{name} other")) for name in rest)
    return {
        "key": key,
        "added": two.join(one, on=key, how="anti", nulls_equal=True).height,
        "removed": one.join(two, on=key, how="anti", nulls_equal=True).height,
        "changed": unlike.select(pl.any_horizontal(pl.all())).to_series().sum() if rest else 0,
        "columns": {name: count for name in rest if (count := unlike[name].sum())},
    }
