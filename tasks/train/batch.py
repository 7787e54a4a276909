"""A plan step's texts, and which of them go through the network together.

Shapes: B queries, N documents of all queries together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from tasks.models.upload import upload
from tasks.train.losses import same_document
from tasks.train.plan import Key, PlanStep, Sample
from tasks.train.tokens import Ids, TokenTable

TeacherScores = Mapping[Key, Mapping[str, float]]
"""(language, query_id) -> doc_id -> the judge's raw score."""


@dataclass(frozen=True)
class Batch:
    """What a training step computes on."""

    token_ids: list[Ids]
    """The texts, each document once even if several queries have it; queries first."""
    doc_N: Tensor
    """Which text each document is, query by query, the positive first."""
    num_docs: list[int]
    """How many documents each query has."""
    weight_B: Tensor
    """The queries' weights."""
    ignore_BN: Tensor
    """Documents that are no negatives for a query: its positive again, and what the plan lists."""
    teacher_N: Tensor | None = None
    """The judge's raw score of each document for its own query, NaN where there is none."""

    def on(self, device: torch.device) -> "Batch":
        """Return the batch with its tensors on a device."""
        return replace(
            self,
            doc_N=upload(self.doc_N, device),
            weight_B=upload(self.weight_B, device),
            ignore_BN=upload(self.ignore_BN, device),
            teacher_N=None if self.teacher_N is None else upload(self.teacher_N, device),
        )

    @property
    def num_queries(self) -> int:
        """B."""
        return len(self.num_docs)

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text."""
        return [len(ids) for ids in self.token_ids]


@dataclass(frozen=True)
class Chunks:
    """Texts of like length together, as they go through the network. Positions in a list of texts."""

    texts: list[list[int]]
    """The texts of each chunk."""
    sizes: list[int]
    """The tokens of each chunk, padding included."""


def compose_batch(
    step: PlanStep, queries: TokenTable, documents: TokenTable, teacher: TeacherScores | None = None
) -> Batch:
    """Look up a step's texts.

    Args:
        step: the step.
        queries: token ids of its queries.
        documents: token ids of its documents.
        teacher: scores for distillation.
    """
    keys = [key for sample in step.samples for key in sample.documents]
    row: dict[Key, int] = {}
    for key in keys:
        row.setdefault(key, len(step.samples) + len(row))
    doc_N = torch.tensor([row[key] for key in keys])
    num_docs = [len(sample.documents) for sample in step.samples]
    return Batch(
        token_ids=[queries[sample.query] for sample in step.samples] + [documents[key] for key in row],
        doc_N=doc_N,
        num_docs=num_docs,
        weight_B=torch.tensor([sample.weight for sample in step.samples], dtype=torch.float32),
        ignore_BN=same_document(doc_N, num_docs) | _listed(step.samples, keys),
        teacher_N=None if teacher is None else _scores(step.samples, teacher),
    )


def _listed(samples: Sequence[Sample], keys: Sequence[Key]) -> Tensor:
    """Mark the documents that the plan lists as no negatives for a query, wherever they stand; [B, N]."""
    listed_BN = np.zeros((len(samples), len(keys)), dtype=np.bool_)
    columns: dict[Key, list[int]] = {}
    for column, key in enumerate(keys):
        columns.setdefault(key, []).append(column)
    for row, one in enumerate(samples):
        for name in one.not_negatives:
            listed_BN[row, columns.get((one.language, name), [])] = True
    return torch.from_numpy(listed_BN)


def _scores(samples: Sequence[Sample], teacher: TeacherScores) -> Tensor:
    scores = [teacher.get(one.query, {}).get(doc_id, torch.nan) for one in samples for _, doc_id in one.documents]
    return torch.tensor(scores, dtype=torch.float32)


def compose_chunks(lengths: Sequence[int], texts: Sequence[int], *, chunk_tokens: int, overhead_tokens: int) -> Chunks:
    """Cut the texts, longest first, into the chunks that take the least time together.

    A chunk's time is its tokens, padding included, and a constant for the calls that it takes. The best cuts are found
    exactly: from the shortest text on, each one's best chunk is known once those after it are.

    Args:
        lengths: tokens of every text.
        texts: positions of those to put into chunks.
        chunk_tokens: size of a chunk at most, padding included; a longer text is a chunk of its own.
        overhead_tokens: a chunk's calls take as long as so many tokens.

    Returns:
        The chunks; equal lengths in their given order. The longest come first: where memory does not suffice, it
        shows at once.
    """
    by_length = sorted(texts, key=lambda text: -lengths[text])
    sorted_lengths = [max(lengths[text], 1) for text in by_length]
    num_texts = len(by_length)
    cost = np.zeros(num_texts + 1)  # of the texts from here on
    end = np.zeros(num_texts, dtype=np.int64)  # of the chunk that begins here
    for start in range(num_texts - 1, -1, -1):
        longest = sorted_lengths[start]
        most = min(max(chunk_tokens // longest, 1), num_texts - start)
        costs = np.arange(1, most + 1) * longest + overhead_tokens + cost[start + 1 : start + most + 1]
        end[start] = start + 1 + int(costs.argmin())
        cost[start] = costs.min()
    chunks, sizes, start = [], [], 0
    while start < num_texts:
        stop = int(end[start])
        chunks.append(by_length[start:stop])
        sizes.append((stop - start) * sorted_lengths[start])
        start = stop
    return Chunks(chunks, sizes)
