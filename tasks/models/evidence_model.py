"""Weights that turn evidence into a raw score (logits). Shapes: N pairs, F features, S sentences, D vector size."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

WEIGHTS_FILE = "cross_encoder.safetensors"
_SCALE = 4.0  # of the products of unit vectors
_SHARPNESS = 2.0  # of the maximum over sentences


@dataclass(frozen=True)
class Linear:
    """Standardise features, weigh and add them."""

    centre: Tensor
    spread: Tensor
    weight: Tensor
    bias: Tensor

    def __call__(self, value_NF: Tensor) -> Tensor:
        """Return logits, [N]."""
        return ((value_NF - self.centre) / self.spread) @ self.weight + self.bias


@dataclass(frozen=True)
class EvidenceModel:
    """One fold's judge: what query and document say, averaged with what the comparison with the reference says."""

    own: Linear
    relation_DD: Tensor
    reference: Linear | None
    """None: too few queries have the two relevant documents that teach how a reference is used."""

    def score(
        self,
        *,
        own_NF: Tensor,
        reference_NF: Tensor,
        has_reference_N: Tensor,
        query_ND: Tensor,
        sentence_NSD: Tensor,
        num_sentences_N: Tensor,
    ) -> Tensor:
        """Return raw scores, [N], float32; a pair without a reference is judged without it."""
        alone_N = self.own(own_NF) + relate(self.relation_DD, query_ND, sentence_NSD, num_sentences_N)
        if self.reference is None:
            return alone_N
        both_N = (alone_N + self.reference(torch.cat([own_NF, reference_NF], dim=1))) / 2.0
        return torch.where(has_reference_N, both_N, alone_N)

    def save(self, folder: Path) -> None:
        """Write the weights; the same weights give the same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {"relation": self.relation_DD}
        for name, linear in (("own", self.own), ("reference", self.reference)):
            if linear is not None:
                tensors |= {f"{name}.{part}": getattr(linear, part) for part in Linear.__dataclass_fields__}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / WEIGHTS_FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return what `save` wrote.

        Raises:
            FileNotFoundError: `folder` holds none.
        """
        tensors = load_file(folder / WEIGHTS_FILE)

        def linear(name: str) -> Linear:
            return Linear(**{part: tensors[f"{name}.{part}"] for part in Linear.__dataclass_fields__})

        return cls(linear("own"), tensors["relation"], linear("reference") if "reference.bias" in tensors else None)


def relate(relation_DD: Tensor, query_ND: Tensor, sentence_NSD: Tensor, num_sentences_N: Tensor) -> Tensor:
    """Return how well the best sentence fits what is asked, [N]: a smooth maximum of bilinear products.

    Args:
        relation_DD: all zero: every document has the same value, up to the number of its sentences.
        query_ND: centred unit vectors.
        sentence_NSD: centred unit vectors, padded.
        num_sentences_N: how many of them are no padding, at least 1.
    """
    product_NS = torch.einsum("nd,nsd->ns", query_ND @ relation_DD, sentence_NSD.float()) * _SCALE
    padding_NS = torch.arange(sentence_NSD.shape[1])[None] >= num_sentences_N[:, None]
    lowered_NS = torch.where(padding_NS, torch.tensor(-1e4), product_NS * _SHARPNESS)
    return torch.logsumexp(lowered_NS, dim=1) / _SHARPNESS
