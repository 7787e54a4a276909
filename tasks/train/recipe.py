"""Recipe: how a training step is taken. Plain values, no file, no framework: a checkpoint carries them along."""

from dataclasses import dataclass

import torch

from tasks.train.losses import Weighting
from tasks.train.precision import Precision, compute_type
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
    """Divides the cosines; see `info_nce`. What it starts with, where it is learned."""
    weighting: Weighting
    """Where the samples' weights go; see `info_nce`."""
    max_gradient_norm: float | None
    """Longer gradients are shortened to this; None leaves them."""
    precision: Precision
    """Of the network's products, by autocast; weights and loss stay float32. `auto`: bf16 on CUDA, else fp32."""
    dropout: float
    """Of all dropout layers."""
    gradient_checkpointing: bool
    """Compute activations twice instead of storing them."""
    seed: int
    """Of the dropout and of the adapters' start."""
    temperature_learning_rate: float | None = None
    """Peak learning rate of the temperature's logarithm; None leaves the temperature as it is."""
    matryoshka_dimensions: tuple[int, ...] = ()
    """The loss is the mean over embeddings cut to these sizes, and whole."""
    distillation_weight: float = 0.0
    """What `distillation` counts beside the contrastive loss; 0 leaves it out."""
    distillation_temperature: float = 1.0
    """Divides the teacher's scores."""
    lora_rank: int = 0
    """Of low-rank adapters, which alone are trained; 0 trains the whole network."""
    lora_alpha: float = 16.0
    """The adapters count alpha / rank times."""
    chunk_tokens: int | None = None
    """Tokens that go through the network at once, padding included; None leaves it to the device."""
    packing: bool = False
    """Texts go through the network in one row, without padding; see `packed`."""
    validation_steps: int = 0
    """Steps between two validations; 0 has none. The best step's weights are the result."""
    patience: int | None = None
    """Training ends after so many validations in a row without a new best; None never ends it."""

    def dtype(self, device: torch.device) -> torch.dtype:
        """Return the type in which the network multiplies on a device."""
        return compute_type(self.precision, device)

    def learning_rate_at(self, step: int, num_steps: int) -> float:
        """Return the learning rate of a step, counted from 0; see `schedule.learning_rate_at`."""
        return learning_rate_at(
            step,
            num_steps=num_steps,
            peak=self.learning_rate,
            warmup_share=self.warmup_share,
            schedule=self.schedule,
        )

    def temperature_rate_at(self, step: int, num_steps: int) -> float:
        """Return the learning rate of the temperature's logarithm: it rises and falls as the network's."""
        return self.learning_rate_at(step, num_steps) / self.learning_rate * (self.temperature_learning_rate or 0.0)
