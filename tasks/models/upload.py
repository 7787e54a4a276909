"""From the CPU's memory to a GPU's."""

import torch
from torch import Tensor


def upload(values: Tensor, device: torch.device) -> Tensor:
    """Copy values to a device without waiting for what is still computed there; on a CPU they are returned as they are.

    From memory that is not pinned the copy would wait for the GPU. torch keeps pinned memory until the copy is done.
    """
    if device.type == "cpu":
        return values
    return values.pin_memory().to(device, non_blocking=True)
