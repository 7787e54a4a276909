"""Low-rank adapters: train two thin matrices beside each weight matrix, and add them to it at the end.

Ours rather than peft's: the trainer must run where only torch and transformers are, and it is one screen.

Source: LoRA (Hu et al., arXiv 2106.09685), on all linear layers; equal to peft's without its dropout (tested).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_ALPHA = 16.0  # the adapters count alpha / rank times; another one would only be another learning rate for them


class LowRankLinear(nn.Module):
    """A frozen linear layer and, beside it, ``alpha / rank * up @ down`` in training."""

    def __init__(self, base: nn.Linear, *, rank: int, generator: torch.Generator) -> None:
        """Start with `up` at zero, so that the layer computes what it did."""
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = _ALPHA / rank
        bound = 1 / math.sqrt(base.in_features)
        down = torch.empty(rank, base.in_features).uniform_(-bound, bound, generator=generator)
        self.down = nn.Parameter(down.to(base.weight))
        self.up = nn.Parameter(base.weight.new_zeros(base.out_features, rank))

    def forward(self, input: Tensor) -> Tensor:
        """Compute both paths."""
        added: Tensor = self.base(input) + self.scale * F.linear(F.linear(input, self.down), self.up)
        return added

    def merged(self) -> nn.Linear:
        """Add the adapter to the layer that it stands beside, and return that layer."""
        with torch.no_grad():
            self.base.weight += self.scale * self.up @ self.down
        return self.base


def add_adapters(module: nn.Module, *, rank: int, seed: int) -> None:
    """Freeze a network and put an adapter beside each of its linear layers.

    Args:
        module: changed in place; its parameters keep their values.
        rank: of the matrix that is added.
        seed: of the adapters' start.

    Raises:
        ValueError: the network has no linear layer.
    """
    module.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    layers = [name for name, part in module.named_modules() if isinstance(part, nn.Linear)]
    if not layers:
        raise ValueError(
            f"{type(module).__name__}: expected linear layers for LoRA, got none. Set train.lora_rank to 0."
        )
    for name in layers:
        base = module.get_submodule(name)
        if isinstance(base, nn.Linear):
            module.set_submodule(name, LowRankLinear(base, rank=rank, generator=generator))


def merge_adapters(module: nn.Module) -> None:
    """Put back the linear layers, with what their adapters have learned."""
    for name, part in list(module.named_modules()):
        if isinstance(part, LowRankLinear):
            module.set_submodule(name, part.merged())
