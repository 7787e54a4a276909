"""A file that records are added to one by one and that survives a kill: what has been paid for is not paid for again.

Not a dataset: no step's result depends on whether a record was found here or had to be made. Each line is one record
as JSON, with a checksum. A line that a kill or a full disk cut off, or that has changed since, is no record; what
follows it starts on a line of its own.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

import orjson

from storage import backend
from storage.fingerprints import fingerprint

_FOLDER = "journals"


class Journal:
    """Records by key. Holds the places of the records in memory, not the records. Several processes may add."""

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`, made if missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        self._places: dict[str, tuple[int, int]] = {}  # key -> start and length of its line
        self._read_places()

    def __enter__(self) -> "Journal":
        """Return the journal; it is closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        os.close(self._file)

    def __contains__(self, key: str) -> bool:
        """Say whether there is a record."""
        return key in self._places

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the record, the last one that was added; None where there is none."""
        if key not in self._places:
            return None
        start, length = self._places[key]
        record: dict[str, Any] = orjson.loads(os.pread(self._file, length, start))["record"]
        return record

    def add(self, key: str, record: dict[str, Any]) -> None:
        """Add a record; it is on the disk when this returns."""
        line = orjson.dumps({"key": key, "record": record, "check": _check(key, record)}) + b"\n"
        written = os.write(self._file, line)  # one write at the end of the file: lines of several processes do not mix
        if written != len(line):
            raise OSError(
                f"{self.path}: expected to write {len(line)} bytes, got {written} written. Make room on the disk and "
                "run the same command again."
            )
        os.fsync(self._file)
        end = os.lseek(self._file, 0, os.SEEK_CUR)
        self._places[key] = (end - len(line), len(line))

    def _read_places(self) -> None:
        start, whole = 0, True
        with self.path.open("rb") as file:
            for line in file:
                whole = line.endswith(b"\n")
                key = _key(line)
                if key is not None:
                    self._places[key] = (start, len(line))
                start += len(line)
        if not whole:
            os.write(self._file, b"\n")


def open_journal(root: str, name: str) -> Journal:
    """Open a store's journal.

    Args:
        root: the store. A remote one's journals lie in this user's cache folder: they are for this machine alone.
        name: letters, digits and "-"; one journal per kind of record and partition.
    """
    base = backend.local_path(root) if backend.is_local(root) else backend.cache() / fingerprint(root)
    return Journal(base / _FOLDER / f"{name}.jsonl")


def _key(line: bytes) -> str | None:
    try:
        content = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    match content:
        case {"key": str(key), "record": dict(record), **others}:
            return key if not others or others == {"check": _check(key, record)} else None  # earlier ones had none
    return None


def _check(key: str, record: dict[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps([key, record])).hexdigest()[:16]
