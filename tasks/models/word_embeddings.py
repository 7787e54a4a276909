"""Word embeddings of which only the rows in use are in memory: most of a small multilingual network's parameters.

For training, `narrow_vocabulary` keeps the rows that the texts use. The others get no gradient, so without weight decay
on the embeddings AdamW leaves them as they are: training the narrowed network and widening it again gives the same
weights, for a fraction of the memory and optimizer time. For inference on a CPU, `StoredRows` leaves the matrix in its
file and reads a batch's rows from there.
Shapes: V pieces of the vocabulary, R rows, D vector size.
"""

import json
import os
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PretrainedConfig, PreTrainedModel

_NAME = "embeddings.word_embeddings.weight"
_STORED = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


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


@dataclass(frozen=True)
class StoredMatrix:
    """Where a matrix lies in a safetensors file: row by row, from `offset` on."""

    file: Path
    name: str
    dtype: torch.dtype
    offset: int
    num_rows: int
    num_columns: int


class StoredRows(nn.Module):
    """Stands in for an `nn.Embedding` whose matrix stays in a file: the same rows, bit for bit, for inference only."""

    def __init__(self, matrix: StoredMatrix, *, dtype: torch.dtype) -> None:
        """Open the file, which must stay as it is; `dtype` is what the rows are cast to."""
        super().__init__()
        self.matrix = matrix
        self.dtype = dtype
        self._row_bytes = matrix.num_columns * matrix.dtype.itemsize
        self._file = os.open(matrix.file, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self.register_state_dict_pre_hook(_refuse_to_save)  # type: ignore[no-untyped-call]  # torch gives it no types

    def forward(self, token_ids: Tensor) -> Tensor:
        """Return the vectors of ids of any shape; each row is read once.

        Raises:
            IndexError: an id is not in the vocabulary.
            OSError: the file has been cut short.
        """
        distinct_R, position = torch.unique(token_ids, return_inverse=True)
        ids = distinct_R.tolist()
        if ids and not 0 <= ids[0] <= ids[-1] < self.matrix.num_rows:
            raise IndexError(
                f"{self.matrix.file}: expected token ids in 0..{self.matrix.num_rows - 1}, got {ids[0]}..{ids[-1]}. "
                "The tokenizer is another model's: fetch the model again."
            )
        return F.embedding(position, self._read(ids))

    def _read(self, ids: list[int]) -> Tensor:
        """Read rows into memory of their own: pages of a mapped file would count as the process's, and whole ones."""
        size, offset = self._row_bytes, self.matrix.offset
        data = bytearray().join(os.pread(self._file, size, offset + size * row) for row in ids)
        if len(data) != size * len(ids):
            raise OSError(
                f"{self.matrix.file}: expected {size * len(ids)} bytes of {self.matrix.name}, got {len(data)}. "
                "The file is incomplete: fetch the model again."
            )
        row_RD = torch.frombuffer(data, dtype=self.matrix.dtype) if data else torch.empty(0, dtype=self.matrix.dtype)
        return row_RD.view(-1, self.matrix.num_columns).to(self.dtype)


def find_word_embeddings(file: Path, prefix: str, config: PretrainedConfig) -> StoredMatrix | None:
    """Return where the word embeddings lie, or None if `file` has not the one matrix that `config` says.

    Args:
        file: safetensors, perhaps missing.
        prefix: of the names in a file that was saved with a head on.
        config: has vocab_size and hidden_size.
    """
    if not file.exists():
        return None
    with file.open("rb") as data:
        header_bytes = int.from_bytes(data.read(8), "little")
        header = json.loads(data.read(header_bytes))
    names = [name for name in (_NAME, f"{prefix}.{_NAME}") if name in header]
    if len(names) != 1:
        return None
    entry = header[names[0]]
    shape = [config.vocab_size, config.hidden_size]
    if entry["shape"] != shape or entry["dtype"] not in _STORED or config.vocab_size <= (config.pad_token_id or 0):
        return None
    dtype, start = _STORED[entry["dtype"]], 8 + header_bytes + entry["data_offsets"][0]
    return StoredMatrix(file, names[0], dtype, start, *shape)


def _refuse_to_save(module: nn.Module, *_: Any) -> None:
    raise ValueError(
        f"{type(module).__name__}: expected a network loaded whole to save or train, got one whose word embeddings "
        "stay in the file. Load it by Encoder.load."
    )
