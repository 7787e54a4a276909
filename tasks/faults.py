"""What the system refused, in one sentence with the cure."""

import errno
import os
import re

_EXPECTED = {
    errno.ENOSPC: ("room on the disk", "Make room"),
    errno.EDQUOT: ("room within your quota", "Make room"),
    errno.EFBIG: ("room for a file of this size", "Raise the limit (ulimit -f)"),
    errno.EROFS: ("a place that can be written to", "Make it writable, or set storage.root to another place"),
    errno.EACCES: ("permission", "Change its owner or mode, or name another place"),
    errno.EPERM: ("permission", "Change its owner or mode, or name another place"),
    errno.ENOENT: ("a file or folder", "Put it there, or name another one"),
    errno.ENOTDIR: ("a folder", "Move the file away, or name another place"),
    errno.EEXIST: ("a folder", "Move the file away, or name another place"),
    errno.EISDIR: ("a file", "Name another one"),
    errno.EMFILE: ("few enough open files", "Raise the limit (ulimit -n)"),
}


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def describe(error: OSError) -> str:
    """Say what the system refused, where, and what to do; an error with a text of its own keeps it."""
    if error.errno is None:
        return str(error)
    expected, cure = _EXPECTED.get(error.errno, ("it to work", "Mend it"))
    where = error.filename or "this computer"
    name = errno.errorcode.get(error.errno, str(error.errno))
    return f"{where}: expected {expected}, got {name} ({error.strerror}). {cure} and run the same command again."


def no_room(error: Exception, place: str) -> OSError | None:
    """Return what a full or read-only disk refused, where an error is about that; it may say so in its text alone.

    Libraries in Rust, C++ or another process say `… (os error 28)` or `[Errno 28] …`, and no path.

    Args:
        error: what a step raised.
        place: what it was about to write; for an error that names no path.
    """
    found = re.search(r"os error (\d+)|[Ee]rrno (\d+)", str(error))
    number = getattr(error, "errno", None) or (int(found[1] or found[2]) if found else None)
    if number not in _NO_ROOM:
        return None
    return OSError(number, os.strerror(number), getattr(error, "filename", None) or place)
