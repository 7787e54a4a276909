"""Digests of files, remembered between runs: one that keeps its size, time and inode is read once.

Input files, models and the store's own parts are all asked about here. What was found lies in one journal in the
user's cache folder, a line per file; several processes may add to it, and losing it costs one more reading of each
file.
"""

import functools
import hashlib
import os
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from storage import backend

Algorithm = Literal["sha256", "blake2b", "rows"]
_ALGORITHMS: dict[Algorithm, Callable[[Any], str]] = {
    "sha256": lambda file: hashlib.file_digest(file, hashlib.sha256).hexdigest(),
    "blake2b": lambda file: hashlib.file_digest(file, functools.partial(hashlib.blake2b, digest_size=16)).hexdigest(),
    "rows": lambda file: str(pq.read_metadata(file).num_rows),
}
_FEW_LINES = 1000  # of the journal: not worth writing again
_LOCK = threading.Lock()


def file_digest(path: str | Path, algorithm: Algorithm = "sha256") -> str:
    """Return the digest of a file's bytes, in hex.

    Args:
        path: local, or an fsspec URL; a file that its store gives no time for is read each time.
        algorithm: `sha256`, or `blake2b` of 16 bytes; `rows`: not a digest but a Parquet file's number of rows.

    Raises:
        FileNotFoundError: there is no such file.
        pyarrow.ArrowException, OSError: it is no Parquet file.
    """
    uri, journal = str(path), backend.cache() / "digests.txt"
    name = _name(uri, algorithm)
    with _LOCK:
        digest = _digests(journal).get(name) if name else None
    if digest is not None:
        return digest
    with backend.open_file(uri) as file:
        digest = _ALGORITHMS[algorithm](file)
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
    """Read the journal once; a line that a kill cut off names a file that is not there.

    Where most lines are of versions that a later one replaced, it is written anew. What another process adds in that
    moment may get lost: one more reading of a file.
    """
    digests, latest, num_lines = {}, {}, 0
    if journal.exists():
        for line in os.fsdecode(journal.read_bytes()).split("\n"):
            digest, _, name = line.partition(" ")
            digests[name] = digest
            algorithm, _, rest = name.partition(" ")
            latest[algorithm, rest[rest.find("/") :]] = line
            num_lines += 1
    if num_lines > 2 * len(latest) and num_lines > _FEW_LINES:
        spooled = journal.with_name(f".tmp-{uuid.uuid4().hex}")
        spooled.write_bytes(os.fsencode("\n".join(latest.values())))
        os.replace(spooled, journal)
    return digests
