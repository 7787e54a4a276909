"""From token vectors to one vector. Shapes: B texts, T tokens, D hidden size."""

from typing import assert_never

import torch
from torch import Tensor

from tasks.models.layout import Pooling


def pool(hidden_BTD: Tensor, attention_BT: Tensor, *, pooling: Pooling) -> Tensor:
    """Return one vector per text, not normalised.

    Args:
        hidden_BTD: token vectors; padding stands on the right.
        attention_BT: 1 for a token, 0 for padding; at least one token per text.
        pooling: ``mean`` over the tokens, the first token (``cls``), or the ``last`` one that is not padding.

    Returns:
        [B, D], float32 whatever the input's type: half precision loses digits in long means.
    """
    match pooling:
        case "mean":
            mask_BT1 = attention_BT.unsqueeze(-1).float()
            return (hidden_BTD.float() * mask_BT1).sum(dim=1) / mask_BT1.sum(dim=1)
        case "cls":
            return hidden_BTD[:, 0].float()
        case "last":
            last_B = attention_BT.sum(dim=1) - 1
            return hidden_BTD[torch.arange(len(last_B), device=last_B.device), last_B].float()
        case _:
            assert_never(pooling)
