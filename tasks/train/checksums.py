"""Checksums of what goes to another machine to be trained there, and of what comes back. The standard library alone."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.train.folders import LOG, MODEL, RESULT

PACKED = "packed.json"


def write_packed(folder: Path) -> None:
    """Write into a finished packing the checksums of all its files."""
    _write(folder / PACKED, {"files": _checksums(folder, folder.rglob("*"))})


def check_packed(path: Path) -> None:
    """See that a packing has come as it left; what lies beside its files does not matter.

    Raises:
        ValueError: a file is missing or another one; names it.
    """
    if problem := _difference(path, [path.parent / name for name in _files(path)]):
        raise ValueError(f"{problem}. Copy the packing to this machine again.")


def write_result(out: Path, training: str) -> None:
    """Name the training that a folder holds the result of, with checksums; written last: it is the result's commit."""
    _write(out / RESULT, {"training": training, "files": _checksums(out, _result_files(out))})


def is_finished(out: Path, training: str) -> bool:
    """Say whether a folder holds a training's whole result."""
    return finished_training(out) == training and not _difference(out / RESULT, _result_files(out))


def finished_training(out: Path) -> str | None:
    """Return the name of the training whose result a folder holds, or None."""
    return _read(out / RESULT).get("training")


def check_result(out: Path) -> None:
    """See that a result is the one that was written: every file, and no other.

    Raises:
        ValueError: it is not; names the file.
    """
    if problem := _difference(out / RESULT, _result_files(out)):
        raise ValueError(f"{problem}. Copy the folder from the machine that trained again, whole.")


def _result_files(out: Path) -> list[Path]:
    return [out / LOG, *(out / MODEL).rglob("*")]


def _difference(listing: Path, paths: Iterable[Path]) -> str | None:
    """Say which of some files, and of those listed, is not what is listed."""
    expected, found = _files(listing), _checksums(listing.parent, paths)
    for name in sorted(expected.keys() | found.keys() or {listing.name}):
        if name not in found or found[name] != expected.get(name):
            got = "no such file" if name not in found else "other bytes" if name in expected else "a file besides"
            return f"{listing.parent / name}: expected it as {listing.name} lists it, got {got}"
    return None


def _checksums(folder: Path, paths: Iterable[Path]) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): checksum(path) for path in sorted(paths) if path.is_file()}


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(listing: Path) -> dict[str, str]:
    files = _read(listing).get("files")
    return files if isinstance(files, dict) else {}


def _read(path: Path) -> dict[str, Any]:
    """Read what `_write` wrote; nothing where it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
