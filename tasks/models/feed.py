"""Feed a network: batches in, results out, the GPU never waiting for either. The same loop on a CPU, where all is now.

Shapes: N texts, B texts of a batch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tasks.models.batches import Batch, Tokens, length_buckets, pad, return_freed_memory
from tasks.models.memory import advised

_MULTIPLE = 8  # of tokens: rows that a GPU's matrix units take whole, and a CPU's sums over a text end alike


def run_batches(
    tokens: Tokens,
    forward: Callable[[Batch], Tensor],
    result_N: NDArray[np.float32],
    *,
    where: str,
    device: torch.device,
    pad_id: int,
    max_tokens: int,
    batch_tokens: int,
    left: bool = False,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Run a network over texts, in batches of like length, without gradients.

    On a CPU a text's result is the same to the last bit in any batch: how far a text is padded follows from its own
    length. A GPU gets the next batch before the results of one are waited for.

    Args:
        tokens: the texts.
        forward: takes a batch on the device; gives a result per text.
        result_N: is filled, [N, …], in the order of the texts.
        where: names the work in errors.
        device: the network's.
        pad_id: of the network's tokenizer.
        max_tokens: nothing is padded to more.
        batch_tokens: tokens per batch, padding included.
        left: padding on the left.
        progress: called with the number of texts done since its last call.

    Raises:
        RuntimeError: memory did not suffice.
    """
    on_cpu, length_N = device.type == "cpu", tokens.length_N
    width_N = np.maximum(np.minimum(-(-np.maximum(length_N, 1) // _MULTIPLE) * _MULTIPLE, max_tokens), length_N)

    def started() -> Iterator[_Result]:
        for positions in length_buckets(width_N.tolist(), batch_tokens=batch_tokens, mixed=not on_cpu):
            width = int(width_N[positions[0]])
            batch = pad(tokens, positions, pad_id=pad_id, width=width, left=left)
            what = f"{where}: expected a batch of {len(positions)} x {width} tokens"
            with advised(what, "Lower resources.batch_tokens."), torch.inference_mode():
                result = _start(positions, forward(batch.on(device)))
            yield result

    for result in _one_late(started()):
        result_N[result.positions] = result.wait()
        if on_cpu:
            return_freed_memory()
        if progress is not None:
            progress(len(result.positions))


@dataclass(frozen=True)
class _Result:
    """A batch's results on their way to the CPU."""

    positions: list[int]
    result_B: Tensor
    arrived: torch.cuda.Event | None = None

    def wait(self) -> NDArray[np.float32]:
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.result_B.numpy()


def _start(positions: list[int], result_B: Tensor) -> _Result:
    if result_B.device.type == "cpu":
        return _Result(positions, result_B.float())
    host_B = result_B.float().to("cpu", non_blocking=True)  # into pinned memory
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch gives it no types
    arrived.record(torch.cuda.current_stream(result_B.device))
    return _Result(positions, host_B, arrived)


def _one_late(results: Iterator[_Result]) -> Iterator[_Result]:
    """Yield each result when the next batch is on its way."""
    before = None
    for result in results:
        if before is not None:
            yield before
        before = result
    if before is not None:
        yield before
