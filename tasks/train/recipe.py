"""Recipe: how a training step is taken. Plain values, no file, no framework: a checkpoint carries them along."""

from dataclasses import dataclass
from typing import Literal

import torch

from tasks.train.losses import Weighting
from tasks.train.schedule import Schedule, learning_rate_at


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides the result of a training besides its start, its plan and its texts."""

    learning_rate: float
    """The peak; see `learning_rate_at`."""
    warmup_share: float
    """Share of the steps in which the learning rate rises."""
    schedule: Schedule
    """How it falls."""
    weight_decay: float
    """AdamW's, on matrices alone: not on embeddings, biases, norms."""
    temperature: float
    """Divides the cosines; see `info_nce`."""
    weighting: Weighting
    """Where the samples' weights go; see `info_nce`."""
    max_gradient_norm: float | None
    """Longer gradients are shortened to this; None leaves them."""
    precision: Literal["auto", "fp32", "bf16"]
    """Of the network's products: `bf16` by autocast, weights and loss stay float32; `auto`: bf16 on CUDA, else fp32."""
    dropout: float
    """Of all dropout layers."""
    gradient_checkpointing: bool
    """Compute activations twice instead of storing them."""
    seed: int
    """Of the dropout."""

    def dtype(self, device: torch.device) -> torch.dtype:
        """Return the type in which the network multiplies on a device."""
        reduced = self.precision == "bf16" or (self.precision == "auto" and device.type == "cuda")
        return torch.bfloat16 if reduced else torch.float32

    def learning_rate_at(self, step: int, num_steps: int) -> float:
        """Return the learning rate of a step, counted from 0; see `schedule.learning_rate_at`."""
        return learning_rate_at(
            step,
            num_steps=num_steps,
            peak=self.learning_rate,
            warmup_share=self.warmup_share,
            schedule=self.schedule,
        )
