"""A plan step as token ids, and token ids as embeddings. Shapes: B queries, N documents, U texts, D embedding size."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tasks.models.batches import length_buckets, pad
from tasks.models.encoder import Encoder
from tasks.train.losses import same_document
from tasks.train.plan import Key, PlanStep
from tasks.train.tokens import TokenTable


@dataclass(frozen=True)
class Batch:
    """What a training step computes on."""

    token_ids: list[list[int]]
    """The texts, each document once even if several queries have it; queries first."""
    doc_N: Tensor
    """Which text each document is, query by query, the positive first."""
    num_docs: list[int]
    """How many documents each query has."""
    weight_B: Tensor
    """The queries' weights."""
    ignore_BN: Tensor
    """Documents that are no negatives for a query: its positive again."""
    pad_id: int
    """Fills up shorter texts."""

    @property
    def num_queries(self) -> int:
        """B."""
        return len(self.num_docs)

    @property
    def num_tokens(self) -> int:
        """Tokens of all texts, without padding."""
        return sum(map(len, self.token_ids))


def compose_batch(
    step: PlanStep, queries: TokenTable, documents: TokenTable, *, new_id: npt.NDArray[np.int64], pad_id: int
) -> Batch:
    """Look up a step's texts.

    Args:
        step: the step.
        queries: token ids of its queries.
        documents: token ids of its documents.
        new_id: new token id of each old one, as `narrow_vocabulary` gives it.
        pad_id: the padding's old id.
    """
    keys = [key for sample in step.samples for key in sample.documents]
    row: dict[Key, int] = {}
    for key in keys:
        row.setdefault(key, len(step.samples) + len(row))
    num_docs = [len(sample.documents) for sample in step.samples]
    texts = [queries[sample.query] for sample in step.samples] + [documents[key] for key in row]
    return Batch(
        token_ids=[new_id[ids].tolist() for ids in texts],
        doc_N=torch.tensor([row[key] for key in keys]),
        num_docs=num_docs,
        weight_B=torch.tensor([sample.weight for sample in step.samples], dtype=torch.float32),
        ignore_BN=same_document(keys, num_docs),
        pad_id=int(new_id[pad_id]),
    )


def embed_texts(encoder: Encoder, batch: Batch, *, chunk_tokens: int) -> Tensor:
    """Embed a batch's texts with gradients, in chunks of like length: little padding is computed.

    Args:
        encoder: gives L2-normalised embeddings.
        batch: has U texts.
        chunk_tokens: size of a chunk, padding included.

    Returns:
        [U, D], in the order of the texts.
    """
    device = encoder.backbone.device
    chunks = length_buckets([len(ids) for ids in batch.token_ids], batch_tokens=chunk_tokens)
    parts = []
    for chunk in chunks:
        token_ids_BT, attention_BT = pad([batch.token_ids[text] for text in chunk], pad_id=batch.pad_id)
        parts.append(encoder(token_ids_BT.to(device), attention_BT.to(device)))
    place_U = torch.tensor([text for chunk in chunks for text in chunk]).argsort()
    return torch.cat(parts)[place_U.to(device)]
