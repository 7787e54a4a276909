"""Load a network for inference on a CPU with its word embeddings left in the file. Shapes: V pieces, R rows, D size.

A multilingual vocabulary is most of a small network's memory, and one batch reads few of its rows.
"""

import json
import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PretrainedConfig, PreTrainedModel

_ARCHITECTURES = ("bert", "roberta", "xlm-roberta")  # whose forward does nothing with the matrix but look up rows
_NAME = "embeddings.word_embeddings.weight"
_STORED = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


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


def load_lean(
    auto: Any, folder: Path, config: PretrainedConfig, *, dtype: torch.dtype
) -> tuple[PreTrainedModel, set[str]] | None:
    """Load what `auto.from_pretrained(folder, config=config)` would, in eval mode, with `StoredRows` in it.

    Args:
        auto: `AutoModel` or `AutoModelFor…`.
        folder: config.json and safetensors weights.
        config: of the network; not kept.
        dtype: of the weights.

    Returns:
        The network and the names of the weights that the file lacks. None where the word embeddings cannot stay in the
        file: another architecture, weights in several files, or not the one plain matrix that the configuration says.
    """
    if config.model_type not in _ARCHITECTURES:
        return None
    with torch.device("meta"):
        kind = type(auto.from_config(config))
    matrix = find_word_embeddings(folder / "model.safetensors", kind.base_model_prefix, config)
    if matrix is None:
        return None
    padding = config.pad_token_id or 0
    config = type(config)(**config.to_dict() | {"vocab_size": padding + 1})  # rows for a stand-in that is thrown away
    with safe_open(matrix.file, framework="pt") as weights:
        state = {name: weights.get_tensor(name) for name in weights.keys() if name != matrix.name}  # noqa: SIM118
    state[matrix.name] = torch.zeros(padding + 1, matrix.num_columns, dtype=matrix.dtype)
    network, report = kind.from_pretrained(
        None, config=config, state_dict=state, dtype=dtype, use_safetensors=True, output_loading_info=True
    )
    network.set_input_embeddings(StoredRows(matrix, dtype=dtype))
    network.config.vocab_size = matrix.num_rows
    network.config.name_or_path = str(folder)
    return network, set(report["missing_keys"])


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
    found = [name for name in (_NAME, f"{prefix}.{_NAME}") if name in header]
    if len(found) != 1:
        return None
    entry = header[found[0]]
    shape = [config.vocab_size, config.hidden_size]
    if entry["shape"] != shape or entry["dtype"] not in _STORED or config.vocab_size <= (config.pad_token_id or 0):
        return None
    dtype, start = _STORED[entry["dtype"]], 8 + header_bytes + entry["data_offsets"][0]
    return StoredMatrix(file, found[0], dtype, start, *shape)


def _refuse_to_save(module: nn.Module, *_: Any) -> None:
    raise ValueError(
        f"{type(module).__name__}: expected a network loaded whole to save or train, got one whose word embeddings "
        "stay in the file. Load it by Encoder.load."
    )
