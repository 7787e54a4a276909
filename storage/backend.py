"""Bytes in a store, the same on a local disk and behind an fsspec URL: whole files appear at once or not at all."""

import hashlib
import os
import uuid
from pathlib import Path
from typing import Any, cast

import fsspec

from storage.errors import StorageError

_TIMES = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")  # as file systems call it


def is_local(uri: str) -> bool:
    """Say whether a URI is on this machine's disk."""
    return "://" not in uri or uri.startswith("file://")


def local_path(uri: str) -> Path:
    """Turn a local URI into a path."""
    return Path(uri.removeprefix("file://"))


def _remote(uri: str) -> tuple[Any, str]:
    """Return a URI's file system, with nothing remembered of what lies there, and the path in it."""
    filesystem, path = fsspec.core.url_to_fs(uri)
    filesystem.invalidate_cache()
    return filesystem, cast("str", path)


def read_bytes(uri: str) -> bytes:
    """Read a whole file.

    Raises:
        FileNotFoundError: there is none.
    """
    if is_local(uri):
        return local_path(uri).read_bytes()
    filesystem, path = _remote(uri)
    return cast("bytes", filesystem.cat_file(path))


def size(uri: str) -> int | None:
    """Return a file's bytes, or None where there is no such file."""
    if is_local(uri):
        try:
            return local_path(uri).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
    filesystem, path = _remote(uri)
    try:
        return int(filesystem.info(path)["size"])
    except FileNotFoundError:
        return None


def open_file(uri: str) -> Any:
    """Open a file for reading its bytes."""
    return local_path(uri).open("rb") if is_local(uri) else fsspec.open(uri, "rb")


def version(uri: str) -> str | None:
    """Describe what changes with a file's content: its size, time and inode; None where a store tells no time.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if is_local(uri):
        stat = local_path(uri).stat()
        return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"
    filesystem, path = _remote(uri)
    facts = filesystem.info(path)
    time = next((facts[name] for name in _TIMES if facts.get(name)), None)
    return None if time is None else f"{facts.get('size')} {time}"


def put(source: Path, uri: str) -> None:
    """Move a finished local file into the store under its final name, in one step."""
    if is_local(uri):
        target = local_path(uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(source, target)
        return
    filesystem, path = _remote(uri)
    filesystem.put_file(str(source), path)
    source.unlink()


def put_bytes(content: bytes, uri: str, *, only_new: bool = False) -> None:
    """Write a small file in one step.

    Raises:
        FileExistsError: there is one in a remote store, and `only_new` was asked for.
    """
    if only_new and not is_local(uri):
        filesystem, path = _remote(uri)
        filesystem.pipe_file(path, content, mode="create")
        return
    source = spool(uri)
    source.write_bytes(content)
    put(source, uri)


def cache() -> Path:
    """Return this user's folder for what can be had again: files of remote stores, the journal of digests."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    if not base.is_absolute():
        raise StorageError(f"cache: expected a home folder, got '{base}'. Set HOME, or XDG_CACHE_HOME to a whole path.")
    folder = base / "polyloom"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def spool(uri: str) -> Path:
    """Name a new temporary file from which `put(…, uri)` is one step."""
    folder = local_path(uri).parent if is_local(uri) else cache()
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f".tmp-{uuid.uuid4().hex}"


def fetch(uri: str, sha256: str) -> Path:
    """Return a local path with a file's bytes; a remote file is downloaded once per version of it."""
    if is_local(uri):
        return local_path(uri)
    filesystem, path = _remote(uri)
    version = hashlib.sha256(str(filesystem.ukey(path)).encode()).hexdigest()[:16]
    copy = cache() / f"{sha256}-{version}-{Path(uri).name}"
    if not copy.exists():
        target = spool(uri)
        filesystem.get_file(path, str(target))
        os.replace(target, copy)
    return copy


def remove(uri: str) -> None:
    """Delete a file; one that is not there is fine."""
    if is_local(uri):
        local_path(uri).unlink(missing_ok=True)
        return
    filesystem, path = _remote(uri)
    if filesystem.exists(path):
        filesystem.rm_file(path)


def names(uri: str) -> list[str]:
    """List the names directly below a folder, sorted; none where there is no such folder."""
    if is_local(uri):
        folder = local_path(uri)
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    filesystem, path = _remote(uri)
    try:
        return sorted(Path(entry.rstrip("/")).name for entry in filesystem.ls(path, detail=False))
    except FileNotFoundError:
        return []


def checksum(path: Path) -> str:
    """SHA-256 of a local file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
