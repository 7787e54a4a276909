"""A plan step as token ids, and token ids as embeddings. Shapes: N documents, C texts of a chunk, T tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tasks.models.encoder import Encoder
from tasks.train.losses import same_document
from tasks.train.plan import Key, PlanStep
from tasks.train.teacher import TeacherScores
from tasks.train.tokens import TokenTable

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """What a training step computes on. B queries."""

    token_ids: list[Ids]
    """The texts, each document once even if several queries have it; queries first."""
    doc_N: Tensor
    """Which text each document is, query by query, the positive first."""
    num_docs: list[int]
    """How many documents each query has."""
    weight_B: Tensor
    """The queries' weights."""
    ignore_BN: Tensor
    """Documents that are no negatives for a query: its positive again."""
    teacher_N: Tensor | None = None
    """A cross-encoder's score of each document for its own query, NaN where there is none."""

    @property
    def num_queries(self) -> int:
        """B."""
        return len(self.num_docs)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""
        return [len(ids) for ids in self.token_ids]


def compose_batch(
    step: PlanStep, queries: TokenTable, documents: TokenTable, *, new_id: Ids, teacher: TeacherScores | None = None
) -> Batch:
    """Look up a step's texts.

    Args:
        step: the step.
        queries: token ids of its queries.
        documents: token ids of its documents.
        new_id: new token id of each old one, as `narrow_vocabulary` gives it.
        teacher: scores for distillation.
    """
    keys = [key for sample in step.samples for key in sample.documents]
    row: dict[Key, int] = {}
    for key in keys:
        row.setdefault(key, len(step.samples) + len(row))
    num_docs = [len(sample.documents) for sample in step.samples]
    texts = [queries[sample.query] for sample in step.samples] + [documents[key] for key in row]
    scores = None if teacher is None else [score for sample in step.samples for score in teacher.scores_of(sample)]
    return Batch(
        token_ids=[new_id[ids] for ids in texts],
        doc_N=torch.tensor([row[key] for key in keys]),
        num_docs=num_docs,
        weight_B=torch.tensor([sample.weight for sample in step.samples], dtype=torch.float32),
        ignore_BN=same_document(keys, num_docs),
        teacher_N=None if scores is None else torch.tensor(scores, dtype=torch.float32),
    )


def embed_chunk(encoder: Encoder, token_ids: Sequence[Ids], *, pad_id: int, dtype: torch.dtype) -> Tensor:
    """Return a chunk's embeddings, [C, D], float32; the network multiplies in `dtype`.

    Autocast begins anew with each chunk: its cast weights would otherwise collect the gradients of all chunks in half
    precision, and those cast without a graph would be used with one.
    """
    device = encoder.backbone.device
    token_ids_CT, attention_CT = pad_arrays(token_ids, pad_id=pad_id)
    with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        embeddings: Tensor = encoder(token_ids_CT.to(device), attention_CT.to(device))
    return embeddings


def pad_arrays(token_ids: Sequence[Ids], *, pad_id: int) -> tuple[Tensor, Tensor]:
    """Put texts into one tensor, padding on the right.

    Returns:
        token_ids_CT and attention_CT (1 for a token, 0 for padding), int64, T the longest text's length.
    """
    length_C = np.array([len(ids) for ids in token_ids])
    is_token_CT = np.arange(length_C.max()) < length_C[:, None]
    token_ids_CT = np.full(is_token_CT.shape, pad_id, dtype=np.int64)
    token_ids_CT[is_token_CT] = np.concatenate(token_ids)
    return torch.from_numpy(token_ids_CT), torch.from_numpy(is_token_CT.astype(np.int64))
