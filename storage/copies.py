"""This machine's copies of a remote store's files: sound or not there, never rewritten, and bounded.

What was used within a week may be read by a run that goes on, and stays; of the rest, the longest unused go when a
process begins to use copies and there are too many.
"""

import contextlib
import fcntl
import functools
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from storage import backend
from storage.connect import call
from storage.digests import file_digest
from storage.fingerprints import fingerprint

LIMIT = 20 * 2**30  # bytes that stay unused
_WEEK_SECONDS = 7 * 24 * 3600


def copy_of(uri: str, sha256: str) -> Path | None:
    """Return a local path with a remote file's bytes, downloaded once per version of it.

    Returns:
        The path; None where the bytes in the store are not those of the checksum.

    Raises:
        FileNotFoundError: there is no such file.
    """
    _begin(backend.cache())
    path = _folder() / f"{sha256}-{fingerprint(backend.version(uri))}-{Path(uri).name}"
    with _locked(fcntl.LOCK_SH):
        if path.is_file() and file_digest(path) == sha256:
            _use(path)
            return path
    spooled = backend.spool(uri)
    call(uri, lambda filesystem, source: filesystem.get_file(source, str(spooled)))
    if backend.checksum(spooled) != sha256:
        spooled.unlink()
        return None
    _use(spooled)
    os.replace(spooled, path)
    return path


def folder_of(files: Mapping[str, Path], name: str, text: bytes) -> Path:
    """Return a folder of copies under names of their own, and of one more small file.

    Args:
        files: name in the folder -> a copy.
        name: of the small file.
        text: its content; with the names, it says which folder this is.
    """
    _begin(backend.cache())
    folder = _folder() / f"folder-{fingerprint([sorted(files), text.decode()])}"
    with _locked(fcntl.LOCK_SH):
        if folder.is_dir() and all(_same(folder / inner, path) for inner, path in files.items()):
            _use(folder)
            return folder
    made = _folder() / f".tmp-{uuid.uuid4().hex}"
    for inner, path in files.items():
        (made / inner).parent.mkdir(parents=True, exist_ok=True)
        backend.link(path, made / inner)
    made.mkdir(exist_ok=True)
    (made / name).write_bytes(text)
    _use(made)
    with _locked(fcntl.LOCK_EX):
        if folder.exists():  # damaged, or another process has just made it
            os.replace(folder, _folder() / f".tmp-{uuid.uuid4().hex}")
        os.replace(made, folder)
    return folder


def trim(limit: int = LIMIT) -> int:
    """Remove copies that nobody has used for a week, the longest unused first, until no more than `limit` bytes stay.

    Returns:
        The bytes that this freed.
    """
    freed, kept, seen, since = 0, 0, set[int](), time.time() - _WEEK_SECONDS
    with _locked(fcntl.LOCK_EX):
        entries = [(entry.stat().st_atime, entry) for entry in _folder().iterdir() if entry.name[:1] != "."]
        for used, entry in sorted(entries, reverse=True):
            stats = [one.stat() for one in (entry, *entry.rglob("*")) if one.is_file()]
            new = {stat.st_ino: stat.st_size for stat in stats if stat.st_ino not in seen}
            if used < since and kept + sum(new.values()) > limit:
                freed += sum(new.values())
                _remove(entry)
            else:
                kept += sum(new.values())
                seen |= set(new)
        for entry in _folder().glob(".tmp-*"):  # of killed processes, but for those of running downloads
            with contextlib.suppress(FileNotFoundError):
                if entry.stat().st_mtime < since:
                    _remove(entry)
    return freed


def _folder() -> Path:
    folder = backend.cache() / "copies"
    folder.mkdir(exist_ok=True)
    return folder


@functools.cache
def _begin(_cache: Path) -> None:
    trim()  # once in a process


def _use(path: Path) -> None:
    os.utime(path, (time.time(), path.stat().st_mtime))


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and file_digest(one) == file_digest(other)


def _remove(entry: Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry)
    else:
        entry.unlink()


@contextlib.contextmanager
def _locked(how: int) -> Iterator[None]:
    with (_folder() / ".lock").open("wb") as file:
        fcntl.flock(file, how)
        yield
