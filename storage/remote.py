"""Files behind an fsspec URL. Every answer is the store's own, asked for anew, since other runs write to it.

But within `held`: one look at a store that answers from one listing of each folder, instead of asking for each file.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, cast

from storage.connect import call
from storage.errors import StorageError

Facts = Mapping[str, Any]  # what a file system tells of a file: its size, and as a rule its time

_AT_A_TIME = 16  # requests of one look at a store
# What S3 answers if it knows no conditions, or if another run is writing the same file at this moment.
_UNCONDITIONAL = ("NotImplemented", "ConditionalRequestConflict")


@dataclass(frozen=True)
class _Listing:
    """All that lies below a folder: facts by name, and the content of some."""

    facts: dict[str, Facts]
    contents: dict[str, bytes] = field(default_factory=dict)


_HELD: ContextVar[Mapping[str, _Listing]] = ContextVar("held listings, by folder", default={})  # noqa: B039


def info(uri: str) -> Facts:
    """Tell a file's facts.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if (held := _find_held(uri)) is None:
        return call(uri, lambda filesystem, path: cast("Facts", filesystem.info(path)))
    listing, name = held
    if name not in listing.facts:
        raise FileNotFoundError(uri)
    return listing.facts[name]


def read_bytes(uri: str) -> bytes:
    """Read a whole file.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if held := _find_held(uri):
        listing, name = held
        if name not in listing.facts:
            raise FileNotFoundError(uri)
        if name in listing.contents:
            return listing.contents[name]
    return call(uri, lambda filesystem, path: cast("bytes", filesystem.cat_file(path)))


def names(uri: str) -> set[str]:
    """Name what lies directly below a folder; nothing where there is none."""
    if held := _find_held(uri):
        listing, inner = held
        start = f"{inner}/" if inner else ""
        return {name[len(start) :].partition("/")[0] for name in listing.facts if name.startswith(start)}
    try:
        listed = call(uri, lambda filesystem, path: filesystem.ls(path, detail=False))
    except FileNotFoundError:
        return set()
    return {entry.rstrip("/").rpartition("/")[2] for entry in listed}


def write_new(content: bytes, uri: str) -> None:
    """Write a file unless there is one; in a store without conditional writes, unless there was one a moment ago.

    Raises:
        FileExistsError: there is one.
    """
    try:
        write_bytes(content, uri, mode="create")
    except StorageError as error:
        if not any(code in str(error) for code in _UNCONDITIONAL):
            raise
        time.sleep(1)
        if call(uri, lambda filesystem, path: filesystem.exists(path)):
            raise FileExistsError(uri) from error
        write_bytes(content, uri)


def write_bytes(content: bytes, uri: str, **options: str) -> None:
    """Write a file in one step."""
    _HELD.set({})
    call(uri, lambda filesystem, path: filesystem.pipe_file(path, content, **options))


def write(source: str, uri: str) -> None:
    """Write a local file's bytes to a file, in one step."""
    _HELD.set({})
    call(uri, lambda filesystem, path: filesystem.put_file(source, path))


def copy(source: str, uri: str) -> None:
    """Copy a file within the store."""
    _HELD.set({})
    call(uri, lambda filesystem, path: filesystem.cp_file(filesystem._strip_protocol(source), path))


def remove(uri: str) -> None:
    """Delete a file; one that is not there is fine."""
    _HELD.set({})
    with contextlib.suppress(FileNotFoundError):
        call(uri, lambda filesystem, path: filesystem.rm_file(path))


@contextlib.contextmanager
def held(folders: Iterable[str], ending: str) -> Iterator[None]:
    """Answer what is asked of these folders in this thread from one listing of each, until something is written.

    Args:
        folders: URIs.
        ending: the files whose names end so are read, too; none where it is empty.
    """
    missing = [folder for folder in folders if _find_held(folder) is None]
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        listings = dict(zip(missing, pool.map(_list, missing), strict=True))
        wanted = [
            (folder, inner)
            for folder, one in listings.items()
            for inner in one.facts
            if ending and inner.endswith(ending)
        ]
        sizes = [listings[folder].facts[inner].get("size") for folder, inner in wanted]
        for (folder, inner), content in zip(wanted, pool.map(_content, wanted, sizes), strict=True):
            if content is None:
                del listings[folder].facts[inner]
            else:
                listings[folder].contents[inner] = content
    token = _HELD.set({**_HELD.get(), **listings})
    try:
        yield
    finally:
        if _HELD.get():  # nothing was written
            _HELD.reset(token)


def _list(folder: str) -> _Listing:
    def find(filesystem: Any, path: str) -> dict[str, Facts]:
        found = filesystem.find(path, detail=True)
        return {name[len(path) :].lstrip("/"): facts for name, facts in found.items()}

    try:
        return _Listing(call(folder, find))
    except FileNotFoundError:
        return _Listing({})


def _content(place: tuple[str, str], size: int | None) -> bytes | None:
    """Read a file that was listed; None: it was removed since. With a start, s3fs does not ask for the size again."""
    try:
        start = 0 if size else None
        return call("/".join(place), lambda filesystem, path: cast("bytes", filesystem.cat_file(path, start=start)))
    except FileNotFoundError:
        return None


def _find_held(uri: str) -> tuple[_Listing, str] | None:
    """Return the held listing that covers a URI, and the URI's name in it."""
    held, folder = _HELD.get(), uri
    while folder and folder not in held:
        folder = folder.rpartition("/")[0]
    return (held[folder], uri[len(folder) + 1 :]) if folder else None
