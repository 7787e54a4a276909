"""The one way to a file system behind an fsspec URL: `call` repeats what failed, and explains what stays wrong.

fsspec's own memory of listings is off: other runs write to the same store.
"""

import errno
import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import fsspec

from storage.errors import StorageError

Answer = TypeVar("Answer")

_PATIENCE = {  # botocore waits up to 1, 2, 4, … 20 s between tries: half a minute without an answer is survived
    "retries": {"mode": "standard", "total_max_attempts": 8},
    "connect_timeout": 10,
    "read_timeout": 15,
}
# Until something has answered, an address is probably wrong.
_FIRST = {"retries": {"mode": "standard", "total_max_attempts": 4}, "connect_timeout": 5, "read_timeout": 5}
_SILENT_TRIES = 2  # of a server that takes a request and says nothing: each costs the whole time above
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class _Silent(Exception):
    """A store has let a request wait for too long, twice. Of no kind that botocore or s3fs would try again."""


@functools.cache
def file_system(store: str) -> Any:
    """Connect to a store once per process: fsspec would do it again in every thread."""
    protocol, _, name = store.partition("://")
    if protocol != "s3":
        return fsspec.core.url_to_fs(store, use_listings_cache=False)[0]
    users = fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
    patient, hasty = (
        fsspec.filesystem("s3", use_listings_cache=False, config_kwargs={**config, **users})
        for config in (_PATIENCE, _FIRST)
    )
    for one in (patient, hasty):
        one.connect()
        one.s3.meta.events.register_first("needs-retry.s3", _give_up_on_silence, unique_id=__name__)
    hasty.retries = 1  # s3fs's own, beside botocore's
    try:
        hasty.call_s3("head_bucket", Bucket=name)
    except Exception as error:
        if not _answer(error):
            raise
    return patient


def _give_up_on_silence(attempts: int, caught_exception: Exception | None, **_: Any) -> None:
    """Answer botocore's question whether to try again, before its own rule does, where nothing at all has come."""
    if attempts >= _SILENT_TRIES and "Timeout" in type(caught_exception).__name__:
        raise _Silent(str(caught_exception)) from caught_exception


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
        filesystem = file_system(f"{protocol}://{path.partition('/')[0]}")
        return method(filesystem, cast("str", filesystem._strip_protocol(uri)))
    except Exception as error:  # those of libraries that need not be installed have no common base
        if isinstance(error, _Silent):
            file_system.cache_clear()  # the next call looks first whether it answers again: how a run ends is told soon
        raise _explained(uri, error) from error


def _answer(error: Exception) -> dict[str, Any]:
    return getattr(error.__cause__ or error, "response", None) or {}  # botocore's


def _explained(uri: str, error: Exception) -> Exception:
    code = _answer(error).get("Error", {}).get("Code")
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
    if "Protocol not known" in reason:
        return StorageError(
            f"store '{uri}': expected a folder or s3://bucket/prefix, got another kind. Mend storage.root."
        )
    return StorageError(
        f"store '{uri}': expected an answer, got: {reason}. Check storage.root, the network and AWS_ENDPOINT_URL, and "
        "run the same command again: it goes on from what is in the store."
    )
