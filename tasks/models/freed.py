"""Give freed memory back: between batches of changing shapes the C library keeps more than a batch needs."""

import ctypes

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; other libraries have none, and need none


def return_freed_memory() -> None:
    """Return what was freed to the system. It costs the next batch some page faults, so it is for a CPU's batches."""
    if _trim is not None:
        _trim(0)
