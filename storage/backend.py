"""Bytes in a store, the same on a local disk and behind an fsspec URL: whole files appear at once or not at all."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from storage import remote
from storage.connect import call
from storage.errors import StorageError

_TIMES = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "created")  # as file systems call it


def is_local(uri: str) -> bool:
    """Say whether a URI is on this machine's disk."""
    return "://" not in uri or uri.startswith("file://")


def local_path(uri: str) -> Path:
    """Turn a local URI into a path."""
    return Path(uri.removeprefix("file://"))


def read_bytes(uri: str) -> bytes:
    """Read a whole file.

    Raises:
        FileNotFoundError: there is none.
    """
    return local_path(uri).read_bytes() if is_local(uri) else remote.read_bytes(uri)


def size(uri: str) -> int | None:
    """Return a file's bytes, or None where there is no such file."""
    try:
        return local_path(uri).stat().st_size if is_local(uri) else int(remote.info(uri)["size"])
    except (FileNotFoundError, NotADirectoryError):
        return None


def open_file(uri: str) -> Any:
    """Open a file for reading its bytes."""
    if is_local(uri):
        return local_path(uri).open("rb")
    return call(uri, lambda filesystem, path: filesystem.open(path, "rb"))


def version(uri: str) -> str | None:
    """Describe what changes with a file's content: its size, time and inode; None where a store tells no time.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if is_local(uri):
        stat = local_path(uri).stat()
        return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"
    facts = remote.info(uri)
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
        source.unlink(missing_ok=True)  # of two links to one file, a move does nothing
        return
    remote.write(str(source), uri)
    source.unlink()


def link(source: Path, spooled: Path) -> None:
    """Give a finished file of the store a second, temporary name; where there are no hard links, copy it."""
    try:
        os.link(source, spooled)  # files of datasets are replaced, never written to: they can be shared
    except OSError:  # another disk, or a file system without hard links
        shutil.copyfile(source, spooled)


def copy(source: str, uri: str) -> None:
    """Give a finished file of the store a second name, in one step; a remote store copies it by itself."""
    if is_local(uri):
        spooled = spool(uri)
        link(local_path(source), spooled)
        put(spooled, uri)
    else:
        remote.copy(source, uri)


def put_bytes(content: bytes, uri: str, *, only_new: bool = False) -> None:
    """Write a small file in one step.

    Raises:
        FileExistsError: there is one in a remote store, and `only_new` was asked for.
    """
    if only_new and not is_local(uri):
        remote.write_new(content, uri)
        return
    source = spool(uri)
    try:
        source.write_bytes(content)
        put(source, uri)
    except OSError as error:  # a full disk's error names no file
        source.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, error.filename or uri) from error


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
    folder = local_path(uri).parent if is_local(uri) else cache() / "copies"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f".tmp-{uuid.uuid4().hex}"


def make_folder(uri: str) -> None:
    """See that a local store's folder is there, or can be made, before anything is built; a remote one has none."""
    if is_local(uri):
        local_path(uri).mkdir(parents=True, exist_ok=True)


def remove(uri: str) -> None:
    """Delete a file; one that is not there is fine."""
    if is_local(uri):
        local_path(uri).unlink(missing_ok=True)
    else:
        remote.remove(uri)


def names(uri: str) -> list[str]:
    """List the names directly below a folder, sorted; none where there is no such folder."""
    if is_local(uri):
        try:
            return sorted(entry.name for entry in local_path(uri).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
    return sorted(remote.names(uri))


def held(folders: Iterable[str], ending: str = "") -> AbstractContextManager[None]:
    """Look at remote folders once, and answer from that: see `remote.held`. What is on a disk is looked at anew."""
    return remote.held([folder for folder in folders if not is_local(folder)], ending)


def checksum(path: Path) -> str:
    """SHA-256 of a local file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
