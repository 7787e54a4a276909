"""Texts through a network one after the other in one row, without padding. P tokens of a chunk, C texts, D vector size.

Each text attends to itself alone. On a GPU in half precision torch's variable-length attention does that in one call;
elsewhere texts of one length go through attention together, which gives the same, if not as fast.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, PreTrainedModel

from tasks.models.encoder import Encoder
from tasks.train.batch import Ids
from tasks.train.chunks import Chunks

_NAME = "polyloom_packed"
_ARCHITECTURES = ("bert", "roberta", "xlm-roberta", "camembert")  # absolute positions, attention in both directions


def use_packed_attention(backbone: PreTrainedModel) -> None:
    """Make a network attend within texts that stand in one row.

    Raises:
        ValueError: the architecture is not one of those that this is known to be right for.
    """
    kind = backbone.config.model_type
    if kind not in _ARCHITECTURES:
        raise ValueError(
            f"{type(backbone).__name__}: expected one of {', '.join(_ARCHITECTURES)} for train.packing, got '{kind}'. "
            "Set train.packing to false."
        )
    backbone.set_attn_implementation(_NAME)


def use_padded_attention(backbone: PreTrainedModel) -> None:
    """Undo `use_packed_attention`."""
    backbone.set_attn_implementation("sdpa")


def pack_chunks(lengths: Sequence[int], texts: Sequence[int], *, chunk_tokens: int) -> Chunks:
    """Fill chunks with texts, the longest first, up to `chunk_tokens`; a longer text is a chunk of its own.

    Args:
        lengths: tokens of every text.
        texts: positions of those to put into chunks.
        chunk_tokens: size of a chunk at most.
    """
    chunks: list[list[int]] = []
    sizes: list[int] = []
    for text in sorted(texts, key=lambda text: -lengths[text]):
        if not chunks or sizes[-1] + lengths[text] > chunk_tokens:
            chunks.append([])
            sizes.append(0)
        chunks[-1].append(text)
        sizes[-1] += lengths[text]
    return Chunks(chunks, sizes)


def embed_packed(encoder: Encoder, token_ids: Sequence[Ids], *, dtype: torch.dtype) -> Tensor:
    """Return a chunk's embeddings, [C, D], float32; the network multiplies in `dtype`. See `use_packed_attention`."""
    device = encoder.backbone.device
    length_C = np.array([len(ids) for ids in token_ids])
    start_C = np.cumsum(length_C) - length_C
    position_P = np.arange(length_C.sum()) - np.repeat(start_C, length_C) + _first_position(encoder.backbone)
    ends = torch.from_numpy(np.append(start_C, length_C.sum())).to(device, torch.int32)
    with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        hidden_PD = encoder.backbone(
            input_ids=torch.from_numpy(np.concatenate(token_ids))[None].to(device),
            position_ids=torch.from_numpy(position_P)[None].to(device),
            cu_seq_lens_q=ends,
            text_lengths=tuple(length_C.tolist()),
        ).last_hidden_state[0]
    return F.normalize(_pool(hidden_PD.float(), length_C, start_C, pooling=encoder.pooling), dim=-1)


def _pool(hidden_PD: Tensor, length_C: Ids, start_C: Ids, *, pooling: str) -> Tensor:
    device = hidden_PD.device
    if pooling != "mean":
        rows = start_C if pooling == "cls" else start_C + length_C - 1
        return hidden_PD[torch.from_numpy(rows).to(device)]
    text_P = torch.from_numpy(np.repeat(np.arange(len(length_C)), length_C)).to(device)
    sum_CD = hidden_PD.new_zeros(len(length_C), hidden_PD.shape[1]).index_add(0, text_P, hidden_PD)
    return sum_CD / torch.from_numpy(length_C).to(device)[:, None]


def _first_position(backbone: PreTrainedModel) -> int:
    """RoBERTa's positions begin after the padding's id, BERT's at 0."""
    return 0 if backbone.config.model_type == "bert" else int(backbone.config.pad_token_id) + 1


def _attend(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    cu_seq_lens_q: Tensor,
    text_lengths: tuple[int, ...],
    **_: Any,
) -> tuple[Tensor, None]:
    """Attend within each text; tensors are [1, heads, P, size of a head], the result [1, P, heads, size]."""
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        q, k, v = (part[0].transpose(0, 1).contiguous() for part in (query, key, value))
        longest = max(text_lengths)
        attended = varlen_attn(q, k, v, cu_seq_lens_q, cu_seq_lens_q, longest, longest, scale=scaling)
        if not isinstance(attended, Tensor):  # a pair, where return_aux asks for more
            raise TypeError(f"varlen_attn: expected a tensor, got {type(attended).__name__}. Use torch 2.13.")
        return attended.unsqueeze(0), None
    outputs, start = [], 0
    for length, group in itertools.groupby(text_lengths):
        count = len(list(group))
        stop = start + count * length
        shape = (query.shape[1], count, length, query.shape[3])
        q, k, v = (part[0, :, start:stop].reshape(shape).transpose(0, 1) for part in (query, key, value))
        outputs.append(F.scaled_dot_product_attention(q, k, v, scale=scaling).transpose(1, 2).flatten(0, 1))
        start = stop
    return torch.cat(outputs)[None], None


AttentionInterface.register(_NAME, _attend)
