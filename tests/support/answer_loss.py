"""The loss of conversations' answers, without training: what tests of the tuning compare."""

from collections.abc import Sequence
from typing import Any

import torch

from tasks.supplement import lora


def answer_loss(network: Any, examples: Sequence[lora.Example]) -> float:
    """Return the mean cross-entropy of the answers' tokens."""
    with torch.no_grad():
        return float(lora._loss(network, examples)[0])
