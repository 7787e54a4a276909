"""Whose turn it is to build a dataset, and the folder in which that build works.

A build holds the kernel's lock on the file `lock` in the dataset's folder (of a remote store: in a folder of this
user's cache). The kernel lets go when its holder dies, however it dies. The file stays where it is: were it removed,
two builds could each hold a lock on a file of that name.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from storage import DatasetRef, backend, fingerprint
from storage.progress import PROGRESS

POLL_SECONDS = 0.2  # between two looks at a lock; short, so that a signal need not wait for the other run


@contextlib.contextmanager
def turn(ref: DatasetRef, log: logging.Logger) -> Iterator[Path]:
    """Wait until no other build of this dataset goes on, and keep others waiting meanwhile.

    Yields:
        The folder for what the build needs beside its dataset: what a killed build left is there but for files that
        it had not finished to write.
    """
    folder = _folder(ref.uri)
    told = False
    while (lock := _lock(folder)) is None:
        if not told:
            told = True
            log.info("waiting for another run that builds %s (%s).", ref, _holder(folder))
        time.sleep(POLL_SECONDS)
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"pid {os.getpid()} on {socket.gethostname()}".encode(), 0)
        _clear_spooled(folder)
        yield folder
    finally:
        _clear_spooled(folder)  # a lost worker's
        os.close(lock)


@contextlib.contextmanager
def scratch(folder: Path, *, keep: bool) -> Iterator[Path]:
    """Give a build its scratch folder, the one that a killed build left if `keep`; it goes when the build succeeds."""
    work = folder / "scratch" / "work"
    if not keep:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    yield work
    shutil.rmtree(work.parent)


def sweep(ref: DatasetRef) -> None:
    """Remove what a killed build of a committed dataset left; a live build's stays."""
    folder = _folder(ref.uri)
    if (folder / "scratch").exists() and (lock := _lock(folder)) is not None:
        try:
            _clear_spooled(folder)
            if (folder / "scratch").exists():  # still: another run may have swept it meanwhile
                shutil.rmtree(folder / "scratch")
        finally:
            os.close(lock)


def resumes(ref: DatasetRef) -> str:
    """Say from where a killed build of a dataset goes on; empty where it left nothing."""
    if checkpoints := sorted((_folder(ref.uri) / "scratch").glob("work/**/step-*.safetensors")):
        return f"resumes at step {int(checkpoints[-1].name.split('-')[1])}"
    parts = len(backend.names(f"{ref.uri}/{PROGRESS}"))
    return f"resumes after {parts} parts" if parts else ""


def _folder(uri: str) -> Path:
    return backend.local_path(uri) if backend.is_local(uri) else backend.cache() / fingerprint(uri)


def _lock(folder: Path) -> int | None:
    """Lock a folder's lock file for this process. None: another build holds it, or the folder has just been removed."""
    path = folder / "lock"
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)  # the umask says whether a group shares the store
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(path.stat(), os.fstat(lock)):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None


def _holder(folder: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        if told := (folder / "lock").read_text(encoding="utf-8", errors="replace"):
            return told
    return "just started"


def _clear_spooled(folder: Path) -> None:
    """Remove files that a killed build had not finished; those of a remote store lie with the copies of its files."""
    for path in [*folder.glob(".tmp-*"), *folder.glob("*/.tmp-*")]:
        path.unlink()
