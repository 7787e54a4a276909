"""Files behind an fsspec URL. Every call on a file system goes through `call`, which repeats it and explains its error.

Nothing is remembered between calls, since other runs write to the same store, but within `held`: one look at a store
that answers from one listing of each folder, instead of asking for each file.
"""

import contextlib
import errno
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import fsspec

from storage.errors import StorageError

Answer = TypeVar("Answer")
Facts = Mapping[str, Any]  # what a file system tells of a file: its size, and as a rule its time

_ATTEMPTS = 8  # botocore waits up to 1, 2, 4, … 20 s between them: half a minute without an answer is survived
_AT_A_TIME = 16  # requests of one look at a store
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_CONFLICTS = 5  # tries to write a new file while another run writes it


@dataclass(frozen=True)
class _Listing:
    """All that lies below a folder: facts by name, and the content of some."""

    facts: Mapping[str, Facts]
    contents: dict[str, bytes | None] = field(default_factory=dict)


_HELD: ContextVar[Mapping[str, _Listing]] = ContextVar("held listings, by folder", default={})  # noqa: B039


@functools.cache
def _filesystem(store: str) -> Any:
    """Connect to a store once per process: fsspec would do it again in every thread."""
    options: dict[str, Any] = {"use_listings_cache": False}
    if store.startswith("s3://"):
        users = fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
        retries = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
        options["config_kwargs"] = {"retries": retries, **users}
    return fsspec.core.url_to_fs(store, **options)[0]


def call(uri: str, method: Callable[[Any, str], Answer]) -> Answer:
    """Call a method of a URI's file system.

    Args:
        uri: with a protocol.
        method: takes the file system, and the path in it.

    Raises:
        FileNotFoundError, FileExistsError: as the file system says.
        OSError: this machine's disk is full, or a file on it cannot be had.
        StorageError: it cannot be asked, or does not allow it; says what to do.
    """
    protocol, _, path = uri.partition("://")
    try:
        filesystem = _filesystem(f"{protocol}://{path.partition('/')[0]}")
        return method(filesystem, cast("str", filesystem._strip_protocol(uri)))
    except Exception as error:  # those of libraries that need not be installed have no common base
        raise _explained(uri, error) from error


def _explained(uri: str, error: Exception) -> Exception:
    answer = getattr(error.__cause__ or error, "response", None) or {}  # botocore's
    code = answer.get("Error", {}).get("Code")
    reason = " ".join(f"{error}".split()) or type(error).__name__
    if code and code not in reason:
        reason = f"{reason} ({code})"
    if code == "PreconditionFailed":
        return FileExistsError(uri)
    if code == "NoSuchBucket":
        return StorageError(f"store '{uri}': expected a bucket, got none of this name. Make it, or mend storage.root.")
    of_this_disk = isinstance(error, OSError) and (error.filename or error.errno in _DISK)
    if of_this_disk or isinstance(error, FileNotFoundError | FileExistsError):
        return error
    if isinstance(error, ImportError):
        what = "Run pip install 'polyloom[s3]'" if uri.startswith("s3") else "Install what it names"
        return StorageError(f"store '{uri}': expected its library, got: {reason}. {what} and run the command again.")
    if isinstance(error, PermissionError) or type(error).__name__ == "NoCredentialsError":
        return StorageError(
            f"store '{uri}': expected permission, got: {reason}. Check the keys (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE) and what they are allowed to do in this bucket."
        )
    return StorageError(
        f"store '{uri}': expected an answer, got: {reason}. Check storage.root, the network and AWS_ENDPOINT_URL, and "
        "run the same command again: it goes on from what is in the store."
    )


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
        content = listing.contents.get(name)
        if name not in listing.facts or (name in listing.contents and content is None):
            raise FileNotFoundError(uri)
        if content is not None:
            return content
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
    for _ in range(_CONFLICTS):
        try:
            write_bytes(content, uri, mode="create")
        except StorageError as error:
            if "ConditionalRequestConflict" in str(error):  # another run is writing it right now
                time.sleep(0.5)
                continue
            if "NotImplemented" not in str(error):
                raise
            if call(uri, lambda filesystem, path: filesystem.exists(path)):
                raise FileExistsError(uri) from error
            write_bytes(content, uri)
        return
    raise FileExistsError(uri)


def write_bytes(content: bytes, uri: str, **options: str) -> None:
    """Write a file in one step."""
    _HELD.set({})
    call(uri, lambda filesystem, path: filesystem.pipe_file(path, content, **options))


def write(source: str, uri: str) -> None:
    """Write a local file's bytes to a file, in one step."""
    _HELD.set({})
    call(uri, lambda filesystem, path: filesystem.put_file(source, path))


def remove(uri: str) -> None:
    """Delete a file; one that is not there is fine."""
    _HELD.set({})
    with contextlib.suppress(FileNotFoundError):
        call(uri, lambda filesystem, path: filesystem.rm_file(path))


@contextlib.contextmanager
def held(folders: Iterable[str], name: str) -> Iterator[None]:
    """Answer what is asked of these folders in this thread from one listing of each, until something is written.

    Args:
        folders: URIs.
        name: the files of this name in them are read, too; none where it is empty.
    """
    missing = [folder for folder in folders if _find_held(folder) is None]
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        listings = dict(zip(missing, pool.map(_list, missing), strict=True))
        wanted = [
            (listing, folder, inner)
            for folder, listing in listings.items()
            for inner in listing.facts
            if inner.rpartition("/")[2] == name
        ]
        places = [(f"{folder}/{inner}", listing.facts[inner]["size"]) for listing, folder, inner in wanted]
        for (listing, _, inner), content in zip(wanted, pool.map(_content, places), strict=True):
            listing.contents[inner] = content
    token = _HELD.set({**_HELD.get(), **listings})
    try:
        yield
    finally:
        _HELD.reset(token)


def _list(folder: str) -> _Listing:
    def find(filesystem: Any, path: str) -> dict[str, Facts]:
        found = filesystem.find(path, detail=True)
        return {name[len(path) :].lstrip("/"): facts for name, facts in found.items()}

    try:
        return _Listing(call(folder, find))
    except FileNotFoundError:
        return _Listing({})


def _content(place: tuple[str, int]) -> bytes | None:
    """Read a file that was listed with a size; None: it was removed since."""
    uri, size = place
    start = 0 if size else None  # where s3fs knows it, it does not ask for the size first
    try:
        return call(uri, lambda filesystem, path: cast("bytes", filesystem.cat_file(path, start=start)))
    except FileNotFoundError:
        return None


def _find_held(uri: str) -> tuple[_Listing, str] | None:
    """Return the held listing that covers a URI, and the URI's name in it."""
    held, folder = _HELD.get(), uri
    while folder and folder not in held:
        folder = folder.rpartition("/")[0]
    return (held[folder], uri[len(folder) + 1 :]) if folder else None
