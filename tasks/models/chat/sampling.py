"""Sampling of tokens that each request's own seed decides, whichever requests share its batch.

Shapes: B requests, V vocabulary.
"""

import hashlib
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from transformers import LogitsProcessor

from tasks.models.chat import Request


class SeededSampling(LogitsProcessor):
    """Turn taking the likeliest token into sampling: Gumbel noise on the scaled logits.

    The largest of logits / temperature + Gumbel noise is distributed as a sample of the softmax. Each row's noise comes
    from a generator of its own, on the CPU, so that neither the batch nor the device changes it.
    """

    def __init__(self, requests: Sequence[Request], temperature: float) -> None:
        """Seed one generator per request by its prompt and seed."""
        self._temperature = temperature
        self._generators = [torch.Generator().manual_seed(_seed(request)) for request in requests]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return the noisy logits [B, V] of one step."""
        size = scores.shape[-1]
        noise_BV = torch.stack([_gumbel(size, generator) for generator in self._generators])
        noisy_BV = scores.float() / self._temperature + noise_BV.to(scores.device)
        return cast("torch.FloatTensor", noisy_BV)


def _gumbel(size: int, generator: torch.Generator) -> Tensor:
    return -torch.empty(size).exponential_(generator=generator).log()


def _seed(request: Request) -> int:
    """Hash prompt and seed: equal seeds of different prompts give unrelated noise."""
    text = f"{request.seed}\0{request.system}\0{request.user}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
