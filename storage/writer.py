"""Write a dataset part by part; nothing counts until the manifest is there.

A part's name holds its checksum, so that it is in place or it is not, on a disk and on S3 alike, and two runs that
build the same dataset at once write the same files. Beside each part lies its record in `progress/`: a killed run
goes on from the records it finds.
"""

import contextlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from storage import backend, manifest
from storage.errors import DamagedDataset
from storage.manifest import DatasetRef, Part
from storage.reader import damage, sound_path
from storage.schemas import SCHEMAS, check

PROGRESS = "progress"


class Writer:
    """Collects the parts and files of one dataset; `storage.commit` makes them count."""

    def __init__(self, ref: DatasetRef) -> None:
        self.ref = ref
        self.columns: dict[str, str] = {}
        self._parts: dict[int, Part] = {}
        self._files: dict[str, Part] = {}
        self._earlier = self._records()  # of parts that a killed build left

    @property
    def parts(self) -> list[Part]:
        """The parts so far, by shard."""
        return [self._parts[shard] for shard in sorted(self._parts)]

    @property
    def files(self) -> list[Part]:
        """The other files so far, by name."""
        return [self._files[name] for name in sorted(self._files)]

    def write(self, frame: pl.DataFrame | pa.Table, shard: int | None = None) -> None:
        """Write one part.

        Args:
            frame: the rows, with the columns of the kind's schema.
            shard: the part's number; the next free one where it is None.

        Raises:
            SchemaMismatch: the columns are not those of the kind.
        """
        table = check(self.ref.kind, frame.to_arrow() if isinstance(frame, pl.DataFrame) else frame)
        number = len(self._parts) if shard is None else shard
        spooled = backend.spool(f"{self.ref.uri}/part")
        pq.write_table(table, spooled, compression="zstd", row_group_size=65_536)
        sha256 = backend.checksum(spooled)
        part = Part(
            name=f"part-{number:05d}-{sha256[:12]}.parquet",
            rows=table.num_rows,
            bytes=spooled.stat().st_size,
            sha256=sha256,
        )
        backend.put(spooled, f"{self.ref.uri}/{part.name}")
        backend.put_bytes(part.model_dump_json().encode(), f"{self.ref.uri}/{PROGRESS}/{number:05d}.json")
        self.columns = {field.name: str(field.type) for field in table.schema}
        self._parts[number] = part

    def missing(self, num_shards: int) -> list[int]:
        """Take over the shards that an earlier, killed build has committed, and list the others of 0..n-1."""
        for shard in range(num_shards):
            part = self._earlier.get(shard)
            if part and damage(f"{self.ref.uri}/{part.name}", part) is None:
                self._parts[shard] = part
        if self._parts and not self.columns:
            path = backend.fetch(f"{self.ref.uri}/{self.parts[0].name}", self.parts[0].sha256)
            self.columns = {field.name: str(field.type) for field in pq.read_schema(path)}
        return [shard for shard in range(num_shards) if shard not in self._parts]

    def add_folder(self, path: Path, name: str) -> None:
        """Copy a local folder's files into the dataset, below `name/`."""
        for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
            spooled = backend.spool(f"{self.ref.uri}/part")
            spooled.write_bytes(file.read_bytes())
            inner = f"{name}/{file.relative_to(path).as_posix()}"
            self._files[inner] = Part(
                name=inner, rows=0, bytes=spooled.stat().st_size, sha256=backend.checksum(spooled)
            )
            backend.put(spooled, f"{self.ref.uri}/{inner}")

    def adopt(self, source: DatasetRef, name: str) -> None:
        """Take over the files that another dataset has below `name/`; on one disk without a second copy of the bytes.

        Raises:
            DamagedDataset: one of them is not what was committed.
        """
        for file in manifest.load(source).files:
            if file.name.startswith(f"{name}/"):
                path, spooled = sound_path(source, file), backend.spool(f"{self.ref.uri}/part")
                try:
                    os.link(path, spooled)  # files of datasets are replaced, never written to: they can be shared
                except OSError:  # another disk, or a file system without hard links
                    shutil.copyfile(path, spooled)
                self._files[file.name] = file
                backend.put(spooled, f"{self.ref.uri}/{file.name}")

    def finish(self) -> None:
        """See that there is something to commit: a dataset without rows still has one part, with the columns.

        Raises:
            RuntimeError: a shard number is missing between the others.
        """
        if not self._parts:
            self.write(SCHEMAS[self.ref.kind].empty_table())
        if sorted(self._parts) != list(range(len(self._parts))):
            raise RuntimeError(
                f"dataset '{self.ref.uri}': expected shards 0..{len(self._parts) - 1}, got {sorted(self._parts)}. "
                "Write every shard that `missing` names."
            )

    def clear_progress(self) -> None:
        """Remove the records of parts: the manifest lists them now."""
        for name in backend.names(f"{self.ref.uri}/{PROGRESS}"):
            backend.remove(f"{self.ref.uri}/{PROGRESS}/{name}")

    def _records(self) -> dict[int, Part]:
        records = {}
        for name in backend.names(f"{self.ref.uri}/{PROGRESS}"):
            try:
                part = Part.model_validate_json(backend.read_bytes(f"{self.ref.uri}/{PROGRESS}/{name}"))
            except (ValidationError, FileNotFoundError):  # torn by a crash, or another run has just committed
                continue
            records[int(name.partition(".")[0])] = part
        return records


def salvage(ref: DatasetRef) -> None:
    """Take a damaged dataset's commit back, but keep the record of its sound parts: only the others are built again."""
    try:
        committed = manifest.find(ref)
    except DamagedDataset:
        committed = None
    for number, part in enumerate(committed.parts if committed else []):
        with contextlib.suppress(DamagedDataset):
            sound_path(ref, part)
            record = f"{ref.uri}/{PROGRESS}/{number:05d}.json"
            backend.put_bytes(part.model_dump_json().encode(), record)
    backend.remove(f"{ref.uri}/{manifest.NAME}")


def discard(ref: DatasetRef) -> None:
    """Take a dataset's commit back and forget its parts: all of it is built again."""
    backend.remove(f"{ref.uri}/{manifest.NAME}")
    for name in backend.names(f"{ref.uri}/{PROGRESS}"):
        backend.remove(f"{ref.uri}/{PROGRESS}/{name}")


def commit(writer: Writer, **facts: Any) -> manifest.Manifest:
    """Make a dataset count: write its manifest, from when on it exists.

    Args:
        writer: holds the parts.
        facts: the manifest's other fields: step, code, arguments, inputs, versions, created_at, seconds and
            peak_memory_bytes.

    Returns:
        The manifest.
    """
    writer.finish()
    content = manifest.Manifest(
        kind=writer.ref.kind,
        partition=writer.ref.partition,
        fingerprint=writer.ref.fingerprint,
        columns=writer.columns,
        parts=writer.parts,
        files=writer.files,
        **facts,
    )
    text = json.dumps(content.model_dump(mode="json"), indent=2, ensure_ascii=False, sort_keys=True)
    backend.put_bytes(f"{text}\n".encode(), f"{writer.ref.uri}/{manifest.NAME}")
    writer.clear_progress()
    return content
