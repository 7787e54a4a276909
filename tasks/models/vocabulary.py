"""Train with only the embedding rows that the texts use.

A multilingual vocabulary is most of a small encoder's parameters, and one training set touches few of its rows.
The others get no gradient, so without weight decay on the embeddings AdamW leaves them as they are: training the
narrowed network and widening it again gives the same weights, for a fraction of the memory and optimizer time.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


def narrow_vocabulary(backbone: PreTrainedModel, used_ids: Iterable[int]) -> Tensor:
    """Swap in an embedding that holds only the rows of `used_ids` and of the configuration's padding.

    The padding keeps its id where there are rows enough: some networks count positions from it. Widen before
    saving: the configuration still gives the full size.

    Args:
        backbone: changed in place. Keep its embedding's weight for `widen_vocabulary`.
        used_ids: ids that the batches hold, special tokens and padding included; any order, repetitions allowed.

    Returns:
        New id of every old id, shape [old vocabulary], int64; -1 where the row is gone.

    Raises:
        ValueError: an id is not in the vocabulary.
    """
    embedding = _embedding(backbone)
    weight_VD = embedding.weight.detach()
    rows = _kept_rows(backbone, used_ids, num_rows=len(weight_VD))
    padding_idx = None if embedding.padding_idx is None else rows.index(embedding.padding_idx)
    weight_RD = weight_VD[torch.tensor(rows, device=weight_VD.device)]
    _swap_embedding(backbone, weight_RD, padding_idx=padding_idx)
    new_id_V = torch.full((len(weight_VD),), -1, dtype=torch.int64)
    new_id_V[torch.tensor(rows)] = torch.arange(len(rows))
    return new_id_V


def widen_vocabulary(backbone: PreTrainedModel, used_ids: Iterable[int], original_weight_VD: Tensor) -> None:
    """Undo `narrow_vocabulary`: the full embedding again, with the trained rows in it.

    Args:
        backbone: changed in place.
        used_ids: as they were given to `narrow_vocabulary`, in any order.
        original_weight_VD: the full weight from before; it is not changed.

    Raises:
        ValueError: the narrowed embedding has not the rows of `used_ids`.
    """
    narrow = _embedding(backbone)
    rows = _kept_rows(backbone, used_ids, num_rows=len(original_weight_VD))
    if len(rows) != narrow.num_embeddings:
        raise ValueError(
            f"widen_vocabulary: expected an embedding of {len(rows)} rows, got {narrow.num_embeddings}. "
            "Give the used_ids that narrow_vocabulary got."
        )
    trained_RD = narrow.weight.detach()
    weight_VD = original_weight_VD.detach().to(device=trained_RD.device, dtype=trained_RD.dtype, copy=True)
    weight_VD[torch.tensor(rows, device=trained_RD.device)] = trained_RD
    padding_idx = None if narrow.padding_idx is None else rows[narrow.padding_idx]
    _swap_embedding(backbone, weight_VD, padding_idx=padding_idx)


def _kept_rows(backbone: PreTrainedModel, used_ids: Iterable[int], *, num_rows: int) -> list[int]:
    """Return the old ids in the order of their new ones: ascending, but padding at its old place if possible."""
    used = {int(row) for row in used_ids}
    outside = sorted(row for row in used if not 0 <= row < num_rows)
    if outside:
        raise ValueError(
            f"used_ids: expected ids in 0..{num_rows - 1}, got {outside[:5]}. "
            "Tokenize with the tokenizer of the same model."
        )
    pad_id = backbone.config.pad_token_id
    if pad_id is None:
        return sorted(used)
    others = sorted(used - {pad_id})
    return [*others[:pad_id], pad_id, *others[pad_id:]]


def _swap_embedding(backbone: PreTrainedModel, weight_RD: Tensor, *, padding_idx: int | None) -> None:
    rows, width = weight_RD.shape
    embedding = nn.Embedding(rows, width, padding_idx=padding_idx, _weight=weight_RD)
    embedding.weight.requires_grad_(_embedding(backbone).weight.requires_grad)
    backbone.set_input_embeddings(embedding)


def _embedding(backbone: PreTrainedModel) -> nn.Embedding:
    embedding = backbone.get_input_embeddings()
    if not isinstance(embedding, nn.Embedding):
        raise ValueError(
            f"{type(backbone).__name__}: expected an nn.Embedding for its words, got {type(embedding).__name__}. "
            "Train this model with its full vocabulary."
        )
    return embedding
