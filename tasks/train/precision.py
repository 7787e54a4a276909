"""In which type the network multiplies, and the scale that keeps small half-precision gradients from vanishing."""

from dataclasses import dataclass
from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]

_START, _GROWTH_STEPS = 65_536.0, 2000  # as torch's own GradScaler


def compute_type(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the type in which the network multiplies on a device; `auto` is bf16 on CUDA, else fp32."""
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" else "fp32"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


@dataclass
class LossScale:
    """Multiplies the gradients that go through a float16 network; 1 and fixed for other types.

    Halved when a gradient overflows (the step is then left out), doubled after many steps without an overflow.
    """

    value: float
    good_steps: int = 0

    @classmethod
    def for_type(cls, dtype: torch.dtype) -> "LossScale":
        """Return the scale to start with."""
        return cls(_START if dtype == torch.float16 else 1.0)

    @property
    def can_fall(self) -> bool:
        """Whether an overflow may be the scale's fault."""
        return self.value > 1

    def update(self, *, overflowed: bool) -> None:
        """Take note of a step of float16."""
        if overflowed:
            self.value, self.good_steps = self.value / 2, 0
            return
        self.good_steps += 1
        if self.good_steps == _GROWTH_STEPS:
            self.value, self.good_steps = self.value * 2, 0
