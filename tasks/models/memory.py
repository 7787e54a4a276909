"""Out of memory, in all wordings of torch on CPUs, CUDA and ROCm: the error says which setting to lower."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SIGNS = (  # in RuntimeErrors of any class, as libraries below torch's allocator raise them
    "out of memory",  # CUDA, HIP, `CUDA error: out of memory`
    "_STATUS_ALLOC_FAILED",  # cuBLAS, cuDNN, cuSOLVER, hipBLAS
    "rocblas_status_memory_error",
    "DefaultCPUAllocator: can't allocate",
    "could not create a primitive",
)


def ran_out_of_memory(error: BaseException) -> bool:
    """Say whether an error, or what caused it, is a lack of memory."""
    return any(
        isinstance(one, MemoryError | torch.OutOfMemoryError)
        or (isinstance(one, RuntimeError) and any(sign in str(one) for sign in _SIGNS))
        for one in (error, error.__cause__)
    )


@contextmanager
def advised(what: str, advice: str) -> Iterator[None]:
    """Turn a lack of memory into an error that says what to change.

    Args:
        what: had to fit, as `embed: expected a batch of 512 tokens`.
        advice: which setting to lower.

    Raises:
        RuntimeError: memory did not suffice.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        first = str(error).partition("\n")[0] or type(error).__name__
        raise RuntimeError(f"{what} to fit into memory, got '{first}'. {advice}") from error
