"""Write a dataset part by part; nothing counts until the manifest is there.

A part's name holds its checksum, so that it is in place or it is not, on a disk and on S3 alike, and two runs that
build the same dataset at once write the same files. Beside each part lies its record in `progress/`: a killed run
goes on from the records it finds.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from storage import backend, inspect, manifest
from storage.errors import AlreadyCommitted, DamagedDataset
from storage.manifest import DatasetRef, Part, part_name
from storage.progress import forget, record, records
from storage.reader import damage, sound_path
from storage.schemas import SCHEMAS, check


class Writer:
    """Collects the parts and files of one dataset; `storage.commit` makes them count."""

    def __init__(
        self,
        ref: DatasetRef,
        share: Callable[[int], bool] = lambda shard: True,
        hand_out: Callable[[list[int]], None] | None = None,
    ) -> None:
        self.ref = ref
        self._hand_out = hand_out  # has missing shards made by others, who record them
        self._share = share  # which shards this process is to make; who commits has all of them
        self.columns: dict[str, str] = {}
        self._parts: dict[int, Part] = {}
        self._files: dict[str, Part] = {}
        self._spooled: dict[str, Path] = {}  # the files, which have no checksum in their names: moved with the commit
        self._earlier = records(ref, share)  # of parts that a killed build left

    @property
    def parts(self) -> list[Part]:
        """The parts so far, by shard."""
        return [self._parts[shard] for shard in sorted(self._parts)]

    @property
    def files(self) -> list[Part]:
        """The other files so far, by name."""
        return [self._files[name] for name in sorted(self._files)]

    def write(self, frame: pl.DataFrame | pa.Table, shard: int | None = None, *, taken: int = 0) -> None:
        """Write one part.

        Args:
            frame: the rows, with the columns of the kind's schema.
            shard: the part's number; the next free one where it is None.
            taken: how many of the rows are an earlier dataset's.

        Raises:
            SchemaMismatch: the columns are not those of the kind.
        """
        table = check(self.ref.kind, frame.to_arrow() if isinstance(frame, pl.DataFrame) else frame)
        number = len(self._parts) if shard is None else shard
        spooled = backend.spool(f"{self.ref.uri}/part")
        pq.write_table(table, spooled, compression="zstd", row_group_size=65_536)
        sha256 = backend.checksum(spooled)
        part = Part(
            name=part_name(number, sha256),
            rows=table.num_rows,
            bytes=spooled.stat().st_size,
            sha256=sha256,
            taken=taken,
        )
        backend.put(spooled, f"{self.ref.uri}/{part.name}")
        record(self.ref, number, part)
        self.columns = {field.name: str(field.type) for field in table.schema}
        self._parts[number] = part

    def missing(self, num_shards: int) -> list[int]:
        """Take over the shards that a killed build or this one's workers made; list the rest of 0..n-1."""
        missing = self._take_over(num_shards)
        if self._hand_out and len(missing) > 1:
            self._hand_out(missing)
            self._earlier = records(self.ref, self._share)
            missing = self._take_over(num_shards)
        return missing

    def _take_over(self, num_shards: int) -> list[int]:
        todo = [shard for shard in range(num_shards) if shard not in self._parts and self._share(shard)]
        for shard in todo:
            part = self._earlier.get(shard)
            if part and damage(f"{self.ref.uri}/{part.name}", part) is None:
                self._parts[shard] = part
        if self._parts and not self.columns:
            path = sound_path(self.ref, self.parts[0])
            self.columns = {field.name: str(field.type) for field in pq.read_schema(path)}
        return [shard for shard in todo if shard not in self._parts]

    def add_folder(self, path: Path, name: str) -> None:
        """Copy a local folder's files into the dataset, below `name/`."""
        for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
            spooled = backend.spool(f"{self.ref.uri}/part")
            shutil.copyfile(file, spooled)
            inner = f"{name}/{file.relative_to(path).as_posix()}"
            self._files[inner] = Part(
                name=inner, rows=0, bytes=spooled.stat().st_size, sha256=backend.checksum(spooled)
            )
            self._spooled[inner] = spooled

    def adopt(self, source: DatasetRef, name: str | None = None) -> None:
        """Take over what another dataset has; on one disk without a second copy of the bytes.

        Args:
            source: the dataset; nothing of it changes.
            name: the files below `name/` alone; None: all parts and files.

        Raises:
            DamagedDataset: one of them is not what was committed.
        """
        content = manifest.load(source)
        for file in content.files:
            if name is None or file.name.startswith(f"{name}/"):
                spooled = backend.spool(f"{self.ref.uri}/part")
                backend.link(sound_path(source, file), spooled)
                self._files[file.name] = file
                self._spooled[file.name] = spooled
        for shard, part in enumerate(content.parts if name is None else []):
            uri = f"{source.uri}/{part.name}"
            if problem := damage(uri, part):
                raise DamagedDataset(source.uri, uri, problem)
            backend.copy(uri, f"{self.ref.uri}/{part.name}")
            self._parts[shard], self.columns = part, content.columns

    def check(self) -> None:
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

    def put_files(self) -> None:
        """Move the files to their names, over those of an earlier commit: its manifest is replaced right after."""
        for name, spooled in sorted(self._spooled.items()):
            backend.put(spooled, f"{self.ref.uri}/{name}")


def commit(writer: Writer, *, only_new: bool = False, **facts: Any) -> manifest.Manifest:
    """Make a dataset count: write its manifest, from when on it exists.

    Args:
        writer: holds the parts.
        only_new: leave a commit alone that another run has made meanwhile. A local store's runs wait for one another;
            on a remote one this is what keeps them apart.
        facts: the manifest's other fields: step, code, arguments, inputs, versions, created_at, seconds and
            peak_memory_bytes.

    Returns:
        The manifest.

    Raises:
        AlreadyCommitted: there is a commit, and `only_new` was asked for.
    """
    ref = writer.ref
    writer.check()
    siblings = dict(inspect.datasets(ref.root, ref.kind, ref.partition))
    if only_new and ref in siblings:  # before its files are written over
        raise AlreadyCommitted(ref.uri)
    content = manifest.Manifest(
        kind=ref.kind,
        partition=ref.partition,
        fingerprint=ref.fingerprint,
        number=min(max((one.number for one in siblings.values()), default=0) + 1, manifest.MOST),
        columns=writer.columns,
        parts=writer.parts,
        files=writer.files,
        **facts,
    )
    text = json.dumps(content.model_dump(mode="json"), indent=2, ensure_ascii=False, sort_keys=True)
    writer.put_files()
    try:
        backend.put_bytes(f"{text}\n".encode(), f"{ref.uri}/{manifest.NAME}", only_new=only_new)
    except FileExistsError as error:
        raise AlreadyCommitted(ref.uri) from error
    forget(ref)  # the manifest lists the parts now
    return content
