"""Read datasets. Every byte that a reader gets has been checked against the manifest's checksum."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa

from storage import backend, copies, manifest
from storage.digests import file_digest
from storage.errors import DamagedDataset
from storage.manifest import DatasetRef, Manifest, Part


def damage(uri: str, part: Part) -> str | None:
    """Say what is wrong with a committed file, or None.

    A local file is read again only when its size, time or inode has changed; a remote one is compared
    by size here and by checksum whenever it is fetched.
    """
    size = backend.size(uri)
    if size is None:
        return f"expected a file of {part.bytes} bytes, got none"
    if size != part.bytes:
        return f"expected {part.bytes} bytes, got {size}"
    return _unlike(uri, part) if backend.is_local(uri) else None


def _unlike(path: str | Path, part: Part) -> str | None:
    """Compare a local file's bytes with what was committed, and a Parquet part's rows with what the file says."""
    if file_digest(path) != part.sha256:
        return f"expected the checksum {part.sha256[:12]}…, got another"
    if "/" in part.name:
        return None
    try:
        rows = file_digest(path, "rows")
    except (pa.ArrowException, OSError) as error:
        return f"expected a Parquet file, got: {str(error).partition(chr(10))[0]}"
    return None if rows == str(part.rows) else f"expected {part.rows} rows, got {rows}"


def check_dataset(ref: DatasetRef, content: Manifest) -> None:
    """See that every part and file is there and unchanged.

    Raises:
        DamagedDataset: one is not; names its path.
    """
    with backend.held([ref.uri]):
        for part in [*content.parts, *content.files]:
            uri = f"{ref.uri}/{part.name}"
            if problem := damage(uri, part):
                raise DamagedDataset(ref.uri, uri, problem)


def sound_path(ref: DatasetRef, part: Part) -> Path:
    """Return a local path with a committed file's bytes, compared with its checksum.

    Raises:
        DamagedDataset: they are not those that were committed.
    """
    uri = f"{ref.uri}/{part.name}"
    if problem := damage(uri, part):
        raise DamagedDataset(ref.uri, uri, problem)
    if backend.is_local(uri):
        return backend.local_path(uri)
    path = copies.copy_of(uri, part.sha256)
    if path is None or (problem := _unlike(path, part)):
        raise DamagedDataset(ref.uri, uri, problem or f"expected the checksum {part.sha256[:12]}…, got another")
    return path


def _sound_paths(ref: DatasetRef, parts: Iterable[Part]) -> list[Path]:
    with backend.held([ref.uri]):
        return [sound_path(ref, part) for part in parts]


def scan(ref: DatasetRef) -> pl.LazyFrame:
    """Read a dataset lazily.

    Raises:
        MissingDataset: it was never committed.
        DamagedDataset: its bytes changed.
    """
    return pl.scan_parquet(_sound_paths(ref, manifest.load(ref).parts), glob=False)


def read(ref: DatasetRef) -> pl.DataFrame:
    """Read a whole dataset into memory; `Raises` as `scan`."""
    return scan(ref).collect()


def iter_parts(ref: DatasetRef) -> Iterator[pl.DataFrame]:
    """Read a dataset one part at a time, in order: memory is bounded by a part; `Raises` as `scan`."""
    for part in manifest.load(ref).parts:
        yield pl.read_parquet(sound_path(ref, part), glob=False)


def num_parts(ref: DatasetRef) -> int:
    """Count the parts that `iter_parts` yields."""
    return len(manifest.load(ref).parts)


def count(ref: DatasetRef) -> int:
    """Count the rows, out of the manifest alone."""
    return manifest.load(ref).rows


def folder(ref: DatasetRef) -> Path:
    """Return a local folder with the dataset's files (a model, say); `Raises` as `scan`."""
    return _local(ref, parts=False)


def checkout(ref: DatasetRef) -> Path:
    """Return a local folder with the whole dataset, manifest included, for a program that knows no store.

    What lies there and is not in the manifest does not belong to the dataset. `Raises` as `scan`.
    """
    return _local(ref, parts=True)


def _local(ref: DatasetRef, *, parts: bool) -> Path:
    content = manifest.load(ref)
    listed = [*content.files, *(content.parts if parts else [])]
    paths = _sound_paths(ref, listed)
    if backend.is_local(ref.uri):
        return backend.local_path(ref.uri)
    text = backend.read_bytes(f"{ref.uri}/{manifest.NAME}")
    return copies.folder_of({part.name: path for part, path in zip(listed, paths, strict=True)}, manifest.NAME, text)
