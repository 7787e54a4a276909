"""This machine's copies of a remote store's files: sound or not there, never rewritten, and bounded.

A process that uses copies holds the lock of a file of its own. What was used since the oldest such process began may
be read by it, and stays; of the rest, the longest unused go when a process begins to use copies and there are too many.
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

LIMIT = 20 * 2**30  # bytes that stay when nobody uses them
_USER = ".user-"
_LEFT_SECONDS = 24 * 3600  # after which a temporary file is one that a killed process left


def copy_of(uri: str, sha256: str) -> Path | None:
    """Return a local path with a remote file's bytes, downloaded once per version of it.

    Returns:
        The path; None where the bytes in the store are not those of the checksum.

    Raises:
        FileNotFoundError: there is no such file.
    """
    begun = _begin(backend.cache())
    path = _folder() / f"{sha256}-{fingerprint(backend.version(uri))}-{Path(uri).name}"
    with _locked(fcntl.LOCK_SH):
        if path.is_file() and file_digest(path) == sha256:
            _use(path, begun)
            return path
    spooled = backend.spool(uri)
    call(uri, lambda filesystem, source: filesystem.get_file(source, str(spooled)))
    if backend.checksum(spooled) != sha256:
        spooled.unlink()
        return None
    _use(spooled, begun)
    os.replace(spooled, path)
    return path


def folder_of(files: Mapping[str, Path], name: str, text: bytes) -> Path:
    """Return a folder of copies under names of their own, and of one more small file.

    Args:
        files: name in the folder -> a copy.
        name: of the small file.
        text: its content; with the names, it says which folder this is.
    """
    begun = _begin(backend.cache())
    folder = _folder() / f"folder-{fingerprint([sorted(files), text.decode()])}"
    with _locked(fcntl.LOCK_SH):
        if folder.is_dir() and all(_same(folder / inner, path) for inner, path in files.items()):
            _use(folder, begun)
            return folder
    made = _folder() / f".tmp-{uuid.uuid4().hex}"
    for inner, path in files.items():
        (made / inner).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, made / inner)
        except OSError:  # no hard links here
            shutil.copyfile(path, made / inner)
    made.mkdir(exist_ok=True)
    (made / name).write_bytes(text)
    _use(made, begun)
    with _locked(fcntl.LOCK_EX):
        if folder.exists():  # damaged, or another process has just made it
            os.replace(folder, _folder() / f".tmp-{uuid.uuid4().hex}")
        os.replace(made, folder)
    return folder


def trim(limit: int = LIMIT) -> int:
    """Remove copies that no living process may read, the longest unused first, until no more than `limit` bytes stay.

    Returns:
        The bytes that this freed.
    """
    freed, kept, seen = 0, 0, set[int]()
    with _locked(fcntl.LOCK_EX):
        since = min(_living(), default=float("inf"))
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
        for entry in _folder().glob(".tmp-*"):
            with contextlib.suppress(FileNotFoundError):  # its download has just ended
                if entry.stat().st_mtime < min(since, time.time() - _LEFT_SECONDS):
                    _remove(entry)
    return freed


def _folder() -> Path:
    folder = backend.cache() / "copies"
    folder.mkdir(exist_ok=True)
    return folder


@functools.cache
def _begin(_cache: Path) -> float:
    """Make this process a user of the copies, once; return when it began."""
    with _locked(fcntl.LOCK_SH):
        mark = os.open(_folder() / f"{_USER}{uuid.uuid4().hex}", os.O_CREAT | os.O_RDWR)  # open as long as it lives
        fcntl.flock(mark, fcntl.LOCK_EX)
    trim()
    return os.fstat(mark).st_mtime


def _living() -> Iterator[float]:
    """Tell when each living user began; forget the dead."""
    for mark in _folder().glob(f"{_USER}*"):
        with mark.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield mark.stat().st_mtime
            else:
                mark.unlink()


def _use(path: Path, begun: float) -> None:
    now = max(time.time(), begun)  # also where the clock went back
    os.utime(path, (now, path.stat().st_mtime))


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
