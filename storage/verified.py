"""Which local files were already found sound, by path, size and time: a cached run reads no data twice.

The journal lives in the user's cache folder; losing it costs one more checksum per file, and a file that changes
after it was checked has another time or size and is read again.
"""

import functools
import threading
from pathlib import Path

from storage import backend

_LOCK = threading.Lock()


def _journal() -> Path:
    return backend.cache() / "verified.txt"


@functools.cache
def _entries() -> set[str]:
    try:
        return set(_journal().read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return set()


def _entry(path: Path, sha256: str) -> str:
    stat = path.stat()
    return f"{sha256} {stat.st_size} {stat.st_mtime_ns} {stat.st_ino} {path.absolute()}"


def known(path: Path, sha256: str) -> bool:
    """Say whether this very file was found to have this checksum."""
    with _LOCK:
        return _entry(path, sha256) in _entries()


def remember(path: Path, sha256: str) -> None:
    """Note that this file has this checksum now."""
    entry = _entry(path, sha256)
    with _LOCK:
        if entry not in _entries():
            _entries().add(entry)
            with _journal().open("a", encoding="utf-8") as file:
                file.write(f"{entry}\n")
