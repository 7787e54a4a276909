"""The processes that train together, one per GPU: who has which texts, and sums over all. U texts, D embedding size.

Each process embeds its share of a step's texts and sees the embeddings of all, so that every document of the global
batch is a negative, wherever it was computed. The loss is computed by all alike; each takes its own texts' gradient
through the network, and the sum over the processes is the gradient of one process with all texts.

Source: gradients without a graph across processes, as in GradCache (arXiv 2101.06983); no DistributedDataParallel,
which would average per-process losses and knows nothing of the texts of the others.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from tasks.models.upload import upload


@dataclass(frozen=True)
class Workers:
    """This process among the others."""

    rank: int
    """This process's number, from 0. Number 0 writes what is written."""
    size: int
    """How many there are."""

    def share(self, lengths: Sequence[int]) -> list[list[int]]:
        """Deal texts out, long and short alike, so that each process has as much to compute.

        Args:
            lengths: tokens per text.

        Returns:
            A list of positions per process; each text once.
        """
        by_length = sorted(range(len(lengths)), key=lambda text: -lengths[text])
        order = [*range(self.size), *reversed(range(self.size))]  # there and back: nobody always has the longest
        shares: list[list[int]] = [[] for _ in range(self.size)]
        for turn, text in enumerate(by_length):
            shares[order[turn % len(order)]].append(text)
        return shares

    def gather(self, own_SD: Tensor, own: Sequence[int], *, num_texts: int) -> Tensor:
        """Return the embeddings of all texts, [U, D], from each process's own, without a graph."""
        text_UD = own_SD.new_zeros(num_texts, own_SD.shape[1])
        text_UD[upload(torch.tensor(own, dtype=torch.int64), own_SD.device)] = own_SD
        if self.size > 1:
            dist.all_reduce(text_UD)  # the others' rows are zero here
        return text_UD

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by its sum over the processes; a parameter that none has a gradient of has none."""
        if self.size == 1:
            return
        wanted = list(parameters)
        has_one = upload(torch.tensor([float(value.grad is not None) for value in wanted]), wanted[0].device)
        pieces = [torch.zeros_like(value) if value.grad is None else value.grad for value in wanted]
        flat = torch.cat([has_one, *(piece.reshape(-1) for piece in pieces)])
        dist.all_reduce(flat)
        counts, *summed = torch.split_with_sizes(flat, [len(wanted), *(value.numel() for value in wanted)])
        for value, count, piece in zip(wanted, counts.tolist(), summed, strict=True):
            value.grad = piece.view_as(value) if count else None

    def agree(self, value: float) -> float:
        """Return process 0's value, so that all decide alike where a GPU's sums differ in the last bit."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=_device())
        dist.broadcast(shared, src=0)
        return shared.item()

    def check_same(self, value: int, what: str) -> None:
        """Make sure that all processes have the same number.

        Raises:
            RuntimeError: they have not.
        """
        if self.size == 1:
            return
        found = torch.zeros(self.size, dtype=torch.int64, device=_device())
        found[self.rank] = value
        dist.all_reduce(found)
        if len(set(found.tolist())) > 1:
            raise RuntimeError(
                f"train: expected {what} to be the same for all processes, got {found.tolist()}. "
                "Give all of them the same files."
            )


ALONE = Workers(rank=0, size=1)


def join_workers(device: str) -> Workers:
    """Meet the other processes that torchrun started; alone where it did not start this one.

    Args:
        device: `cuda`: each process takes the GPU of its local rank, and they meet over NCCL; `cpu`: over Gloo.

    Raises:
        ValueError: they all were to take the same GPU.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    if ":" in device:
        raise ValueError(f"train: expected cuda or cpu for several processes, got {device}. Each takes its own GPU.")
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl")
    else:
        dist.init_process_group("gloo")
    return Workers(rank=dist.get_rank(), size=dist.get_world_size())


def leave_workers() -> None:
    """Part from the other processes, where there are any."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _device() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
