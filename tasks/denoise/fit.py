"""Train the default judge on labelled pairs: evidence -> weights. Shapes: N pairs, F features, D vector size.

Three small parts, fitted one after the other, all strongly regularised, because a few hundred judged pairs teach
little: weights of the features of query and document; a bilinear form on their centred vectors, which learns what kind
of sentence answers what kind of question; weights of all features, with those of the reference.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn import functional as F

from tasks.denoise.evidence import Evidence
from tasks.denoise.tensors import to_tensors
from tasks.models.evidence_model import EvidenceModel, Linear, relate

MIN_REFERENCES = 10
"""Relevant pairs with another relevant document as reference, without which no use of references is learnt."""

_POSITIVE_SHARE = 0.3  # weight of all relevant pairs to that of all others
_LEARNING_RATE = 0.002


def fit_evidence_model(
    evidence: Evidence,
    label_N: NDArray[np.int32],
    *,
    strength: float,
    reference_strength: float,
    relation_ridge: float,
    num_steps: int,
    progress: Callable[[int], None],
) -> tuple[EvidenceModel, float]:
    """Fit one fold's model; the same pairs give the same weights.

    Args:
        evidence: of the training pairs.
        label_N: 1 relevant, 0 not.
        strength: inverse ridge of the features of query and document.
        reference_strength: the same of all features, the reference's included.
        relation_ridge: ridge of the bilinear form.
        num_steps: of Adam, on all pairs at once.
        progress: called with the number of steps done.

    Returns:
        The model, and the mean loss of the first two parts on the training pairs, in nats.

    Raises:
        ValueError: no relevant or no non-relevant pair.
    """
    if not 0 < label_N.sum() < len(label_N):
        raise ValueError(
            f"denoise.fit: expected relevant and non-relevant pairs, got {label_N.sum()} relevant of {len(label_N)}. "
            "Give more train judgements, or raise denoise.fit.num_presumed or num_easy."
        )
    own = _fit_linear(evidence.own_NF, label_N, strength)
    tensors = to_tensors(evidence)
    relation_DD, loss = _fit_relation(own(tensors["own_NF"]), tensors, label_N, relation_ridge, num_steps, progress)
    compared = np.flatnonzero(evidence.has_reference_N)
    reference = None
    if MIN_REFERENCES <= label_N[compared].sum() < len(compared):
        both_NF = np.concatenate([evidence.own_NF, evidence.reference_NF], axis=1)
        reference = _fit_linear(both_NF[compared], label_N[compared], reference_strength)
    return EvidenceModel(own, relation_DD, reference), loss


def _weights(label_N: NDArray[np.int32]) -> NDArray[np.float64]:
    num_positive = int(label_N.sum())
    return np.where(label_N > 0, _POSITIVE_SHARE * (len(label_N) - num_positive) / num_positive, 1.0)


def _fit_linear(value_NF: NDArray[np.float32], label_N: NDArray[np.int32], strength: float) -> Linear:
    centre_F, spread_F = value_NF.mean(axis=0), np.maximum(value_NF.std(axis=0), 1e-6)
    model = LogisticRegression(C=strength, max_iter=5000, tol=1e-8)
    model.fit((value_NF - centre_F).astype(np.float64) / spread_F, label_N, sample_weight=_weights(label_N))
    parts = (centre_F, spread_F, model.coef_[0], model.intercept_[0])
    return Linear(*(torch.tensor(part, dtype=torch.float32) for part in parts))


def _fit_relation(
    offset_N: Tensor,
    tensors: dict[str, Tensor],
    label_N: NDArray[np.int32],
    ridge: float,
    num_steps: int,
    progress: Callable[[int], None],
) -> tuple[Tensor, float]:
    """Fit the bilinear form on top of the features' logits, from zero."""
    size = tensors["query_ND"].shape[1]
    relation_DD = nn.Parameter(torch.zeros(size, size))
    optimizer = torch.optim.Adam([relation_DD], lr=_LEARNING_RATE)
    weight_N = torch.tensor(_weights(label_N), dtype=torch.float32)
    target_N = torch.tensor(label_N, dtype=torch.float32)
    value = 0.0
    for step in range(num_steps):
        raw_N = offset_N + relate(relation_DD, tensors["query_ND"], tensors["sentence_NSD"], tensors["num_sentences_N"])
        loss = F.binary_cross_entropy_with_logits(raw_N, target_N, weight=weight_N)
        optimizer.zero_grad()
        (loss + ridge * relation_DD.square().sum()).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        optimizer.step()
        value = float(loss.detach())
        progress(step + 1)
    return relation_DD.detach(), value
