"""Digests of files, remembered between runs: one that keeps its size, time and inode is read once.

Input files, models and the store's own parts are all asked about here. What was found lies in one journal in the
user's cache folder, a line per file; several processes may add to it, and losing it costs one more reading of each
file.
"""

import functools
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from storage import backend

Algorithm = Literal["sha256", "blake2b"]
_ALGORITHMS: dict[Algorithm, Callable[[], Any]] = {
    "sha256": hashlib.sha256,
    "blake2b": functools.partial(hashlib.blake2b, digest_size=16),
}
_LOCK = threading.Lock()


def file_digest(path: str | Path, algorithm: Algorithm = "sha256") -> str:
    """Return the digest of a file's bytes, in hex.

    Args:
        path: local, or an fsspec URL; a file that its store gives no time for is read each time.
        algorithm: `sha256`, or `blake2b` of 16 bytes.

    Raises:
        FileNotFoundError: there is no such file.
    """
    uri, journal = str(path), backend.cache() / "digests.txt"
    name = _name(uri, algorithm)
    with _LOCK:
        digest = _digests(journal).get(name) if name else None
    if digest is not None:
        return digest
    with backend.open_file(uri) as file:
        digest = hashlib.file_digest(file, _ALGORITHMS[algorithm]).hexdigest()
    if name and name == _name(uri, algorithm):  # it did not change while it was read
        line = os.fsencode(f"\n{digest} {name}")  # the break comes first, so that one torn by a kill spoils no other
        with _LOCK, journal.open("ab") as lines:
            lines.write(line)  # in one piece, at the end: those of several processes do not mix
            _digests(journal)[name] = digest
    return digest


def _name(uri: str, algorithm: Algorithm) -> str | None:
    version = backend.version(uri)
    place = backend.local_path(uri).absolute() if backend.is_local(uri) else uri
    return version and f"{algorithm} {version} {place}"


@functools.cache
def _digests(journal: Path) -> dict[str, str]:
    """Read the journal once; a line that a kill cut off names a file that is not there."""
    digests = {}
    if journal.exists():
        for line in os.fsdecode(journal.read_bytes()).split("\n"):
            digest, _, name = line.partition(" ")
            digests[name] = digest
    return digests
