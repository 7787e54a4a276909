"""Learning rate and seed of a step: functions of the step alone, so that a resumed run needs no state for them."""

import hashlib
import math
from typing import Literal

Schedule = Literal["linear", "cosine", "constant"]


def learning_rate_at(step: int, *, num_steps: int, peak: float, warmup_share: float, schedule: Schedule) -> float:
    """Rise linearly to the peak over the warm-up, then fall to 0 (or stay).

    Args:
        step: which step, from 0.
        num_steps: steps of the whole training.
        peak: the highest learning rate.
        warmup_share: share of the steps that rise.
        schedule: `linear` or `cosine` fall towards 0, which the step after the last would have; `constant` stays.

    Returns:
        The learning rate, above 0.

    Raises:
        ValueError: the step is not one of the training.
    """
    if not 0 <= step < num_steps:
        raise ValueError(f"learning_rate_at: expected a step in 0..{num_steps - 1}, got {step}.")
    warmup = round(warmup_share * num_steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule == "constant":
        return peak
    passed = (step - warmup) / (num_steps - warmup)
    return peak * (1 - passed if schedule == "linear" else 0.5 * (1 + math.cos(math.pi * passed)))


def step_seed(seed: int, step: int, *, rank: int = 0) -> int:
    """Derive the seed of a step's dropout from the training's seed and the process's number: 0 ≤ seed < 2**63."""
    text = f"{seed}:{step}:{rank}" if rank else f"{seed}:{step}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
