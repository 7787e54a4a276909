"""Train the default cross-encoder on labelled pairs. Shapes: B pairs of one step."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from tasks.models.cross_encoder import CrossEncoder

_WARMUP = 0.1  # of the steps
_LEAST_RATE = 0.05  # of the peak, at the end
_MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Group:
    """One query's pairs, as rows of the table of pairs."""

    rows: tuple[int, ...]


def train_cross_encoder(
    network: CrossEncoder,
    pairs: pl.DataFrame,
    cosines: NDArray[np.float32],
    *,
    num_epochs: float,
    batch_queries: int,
    learning_rate: float,
    head_learning_rate: float,
    max_query_tokens: int,
    max_document_tokens: int,
    seed: int,
    progress: Callable[[int], None],
) -> float:
    """Train `network` in place; without dropout, so that the same pairs and seed give the same weights.

    Args:
        network: fresh.
        pairs: language, query_id, query, document, label (1 | 0), sorted.
        cosines: of the pairs, [N], as `network.cosines` gives them.
        num_epochs: passes over the queries.
        batch_queries: queries per step.
        learning_rate: of the layers, at its peak.
        head_learning_rate: of the head, at its peak.
        max_query_tokens: queries are cut to this.
        max_document_tokens: documents are cut to this.
        seed: of the order of the queries.
        progress: called with the number of steps done.

    Returns:
        Mean loss over the last fifth of the steps.

    Raises:
        ValueError: no relevant or no non-relevant pair.
    """
    labels = pairs["label"].to_list()
    if not 0 < sum(labels) < len(labels):
        raise ValueError(
            f"denoise.fit: expected relevant and non-relevant pairs, got {sum(labels)} relevant of {len(labels)}. "
            "Give more train judgements, or raise denoise.fit.num_presumed or num_easy."
        )
    texts = list(zip(pairs["query"], pairs["document"], strict=True))
    network.set_cosine_scale(cosines)
    joint = network.tokenize_pairs(texts, max_query_tokens=max_query_tokens, max_document_tokens=max_document_tokens)
    cosine_N, label_N = torch.from_numpy(cosines), torch.tensor(labels, dtype=torch.float32)
    positive_weight = (len(labels) - sum(labels)) / sum(labels)
    groups = group_pairs(pairs)
    num_steps = count_steps(pairs, num_epochs=num_epochs, batch_queries=batch_queries)
    optimizer = _optimizer(network, learning_rate, head_learning_rate)
    peaks = [group["lr"] for group in optimizer.param_groups]
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    losses = []
    for step in range(num_steps):
        drawn = draw_groups(groups, step=step, batch_queries=batch_queries, seed=seed)
        rows = [row for group in drawn for row in group.rows]
        query_B = torch.tensor([number for number, group in enumerate(drawn) for _ in group.rows])
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["lr"] = peak * _rate(step, num_steps)
        raw_B = network([joint[row] for row in rows], cosine_N[rows])
        loss = pair_loss(
            raw_B, label_N[rows].to(raw_B.device), query_B.to(raw_B.device), positive_weight=positive_weight
        )
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(trained, _MAX_GRADIENT_NORM)
        optimizer.step()
        losses.append(float(loss.detach()))
        progress(step + 1)
    last = losses[-max(1, len(losses) // 5) :]
    return sum(last) / len(last)


def count_steps(pairs: pl.DataFrame, *, num_epochs: float, batch_queries: int) -> int:
    """Return the number of steps in which every query has been drawn `num_epochs` times on average."""
    return max(1, math.ceil(num_epochs * pairs.select("language", "query_id").n_unique() / batch_queries))


def pair_loss(raw_B: Tensor, label_B: Tensor, query_B: Tensor, *, positive_weight: float) -> Tensor:
    """Return the pointwise loss, which makes scores comparable, plus the listwise one, which ranks.

    Pointwise: cross-entropy of each pair, relevant ones weighing `positive_weight`. Listwise: of each relevant pair
    against the non-relevant ones of its query; 0 where no query has both.

    Args:
        raw_B: scores.
        label_B: 1 or 0.
        query_B: which pairs are of the same query.
        positive_weight: weight of a relevant pair in the pointwise part.

    Returns:
        A scalar, in nats.
    """
    pointwise = F.binary_cross_entropy_with_logits(raw_B, label_B, pos_weight=raw_B.new_tensor(positive_weight))
    is_positive_B = label_B > 0
    rival_BB = (query_B[:, None] == query_B[None, :]) & ~is_positive_B[None, :]
    used_B = is_positive_B & rival_BB.any(dim=1)
    if not bool(used_B.any()):
        return pointwise
    rivals_P = torch.where(rival_BB, raw_B[None, :], -torch.inf)[used_B].logsumexp(dim=1)
    return pointwise - F.logsigmoid(raw_B[used_B] - rivals_P).mean()


def group_pairs(pairs: pl.DataFrame) -> dict[str, list[Group]]:
    """Return each language's queries with the rows of their pairs, in the order of language and query_id."""
    rows: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(pairs["language"], pairs["query_id"], strict=True)):
        rows.setdefault(key, []).append(row)
    groups: dict[str, list[Group]] = {}
    for language, query_id in sorted(rows):
        groups.setdefault(language, []).append(Group(tuple(rows[language, query_id])))
    return groups


def draw_groups(groups: Mapping[str, Sequence[Group]], *, step: int, batch_queries: int, seed: int) -> list[Group]:
    """Draw a step's queries: languages in turn, so uniformly; a language's queries in a new order every pass.

    The draw depends on the step and the seed alone, not on what was drawn before.
    """
    languages = sorted(groups)
    drawn = []
    for slot in range(step * batch_queries, (step + 1) * batch_queries):
        language, turn = languages[slot % len(languages)], slot // len(languages)
        own = groups[language]
        order = list(range(len(own)))
        random.Random(f"{seed}/{language}/{turn // len(own)}").shuffle(order)
        drawn.append(own[order[turn % len(own)]])
    return drawn


def _optimizer(network: CrossEncoder, learning_rate: float, head_learning_rate: float) -> torch.optim.AdamW:
    layers = list(network.joint_layers.parameters())
    head = [*network.dense.parameters(), *network.out.parameters(), network.weight]
    return torch.optim.AdamW(
        [{"params": layers, "lr": learning_rate}, {"params": head, "lr": head_learning_rate}], weight_decay=0.01
    )


def _rate(step: int, num_steps: int) -> float:
    """Share of the peak learning rate: a linear rise, then a linear fall."""
    return min(1.0, (step + 1) / (_WARMUP * num_steps)) * max(_LEAST_RATE, 1.0 - step / num_steps)
