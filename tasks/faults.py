"""What the system refused, in one sentence with the cure."""

import errno
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


def describe(error: OSError, place: str = "") -> str:
    """Say what the system refused, where, and what to do; what has a text of its own keeps it.

    Args:
        error: its number may stand in the text only, as Rust's libraries have it: `… (os error 28)`.
        place: names the path where the error names none.
    """
    found = re.search(r"os error (\d+)|[Ee]rrno (\d+)", str(error))
    number = error.errno or (int(found[1] or found[2]) if found else None)
    if number is None:
        return str(error)
    where = error.filename or place or "this computer"
    expected, cure = _EXPECTED.get(number, ("it to work", "Mend it"))
    got = f"{errno.errorcode.get(number, number)} ({error.strerror or str(error)})"
    return f"{where}: expected {expected}, got {got}. {cure} and run the same command again."
