"""The loop that feeds a network: each text's result at its place, and what is said where memory does not suffice."""

import numpy as np
import pytest
import torch

from tasks.models.batches import pack_tokens
from tasks.models.feed import run_batches
from tasks.models.memory import ran_out_of_memory

TEXTS = [[3], [1, 2, 9], [4, 4], [], [7, 7, 7], [5]]
ON_CPU = {"where": "embed", "device": torch.device("cpu"), "pad_id": 0, "max_tokens": 3}


def sums(batch):
    return (batch.token_ids_BT * batch.attention_BT).sum(dim=1).float()


@pytest.mark.parametrize("batch_tokens", [1, 4, 1000])
@pytest.mark.parametrize("left", [False, True])
def test_every_result_stands_at_its_texts_place(batch_tokens, left):
    result_N, done = np.full(len(TEXTS), np.nan, dtype=np.float32), []
    run_batches(
        pack_tokens(TEXTS), sums, result_N, **ON_CPU, batch_tokens=batch_tokens, left=left, progress=done.append
    )
    assert result_N.tolist() == [sum(ids) for ids in TEXTS]
    assert sum(done) == len(TEXTS)


def test_a_batch_is_told_as_done_when_the_next_one_is_on_its_way():
    told = []

    def forward(batch):
        told.append("computed")
        return sums(batch)

    result_N = np.empty(2, dtype=np.float32)
    run_batches(
        pack_tokens([[1, 1], [2]]), forward, result_N, **ON_CPU, batch_tokens=1, progress=lambda _: told.append("done")
    )
    assert told == ["computed", "computed", "done", "done"]


NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("HIP out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", NO_MEMORY, ids=repr)
def test_too_large_a_batch_names_the_setting(error):
    def forward(batch):
        raise error

    told = r"^embed: expected a batch of 6 x 3 tokens to fit into memory, got '[^\n]+'. Lower resources.batch_tokens.$"
    with pytest.raises(RuntimeError, match=told) as raised:
        run_batches(pack_tokens(TEXTS), forward, np.empty(6, dtype=np.float32), **ON_CPU, batch_tokens=100)
    assert ran_out_of_memory(raised.value)


def test_another_error_stays_as_it_is():
    def forward(batch):
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="^CUDA error: device-side assert triggered$"):
        run_batches(pack_tokens(TEXTS), forward, np.empty(6, dtype=np.float32), **ON_CPU, batch_tokens=100)
