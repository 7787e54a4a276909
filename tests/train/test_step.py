import pytest
import torch

from tasks.models.memory import ran_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you"),
        RuntimeError("could not create a primitive"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA driver error: out of memory"),
        RuntimeError("NCCL error: unhandled cuda error. Last error: Failed to CUDA calloc async: out of memory"),
    ],
)
def test_knows_how_lack_of_memory_reads(error):
    assert ran_out_of_memory(error)
    wrapped = RuntimeError("train: expected chunks to fit")
    wrapped.__cause__ = error
    assert ran_out_of_memory(wrapped)


def test_other_errors_are_no_lack_of_memory():
    assert not ran_out_of_memory(RuntimeError("train: expected a finite loss, got nan"))
