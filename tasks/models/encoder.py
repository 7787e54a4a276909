"""The dense encoder: texts to unit vectors. Shapes: N texts, B texts in a batch, T tokens, D vector size."""

import gc
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from tasks.models.backbone import load_backbone, load_backbone_for_inference, save_backbone
from tasks.models.batches import length_buckets, pad, return_freed_memory
from tasks.models.layout import LAYOUT_FILES, Pooling, Role, read_pooling
from tasks.models.tokenizer import TextTokenizer

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Encoder(nn.Module):
    """A network, its tokenizer, pooling and prompts, as `write_encoder` put them into one folder."""

    def __init__(self, folder: Path, backbone: PreTrainedModel) -> None:
        """Read tokenizer, pooling and prompts from `folder`, which must still be there on `save`."""
        super().__init__()
        self.folder = folder
        self.backbone = backbone
        self.tokenizer = TextTokenizer(folder)
        self.pad_id = self.tokenizer.pad_id
        self.pooling = read_pooling(folder)
        self.hidden_size: int = backbone.config.hidden_size

    @classmethod
    def load(cls, folder: Path, *, device: str, dtype: torch.dtype = torch.float32) -> Self:
        """Return the encoder in `folder`, in eval mode.

        Args:
            folder: as `write_encoder` or `save` wrote it.
            device: ``cpu`` or ``cuda``.
            dtype: of the weights; less than float32 is for inference only.

        Raises:
            FileNotFoundError: a file of the layout is missing.
            ValueError: the weights do not fit the configuration.
        """
        return cls(folder, load_backbone(folder, dtype=dtype)).to(device).eval()

    @classmethod
    def load_for_inference(cls, folder: Path, *, device: str, dtype: torch.dtype = torch.float32) -> Self:
        """Return the encoder, not to be trained or saved: on a CPU the word embeddings stay in the file.

        Args and errors as `load`.
        """
        if device != "cpu":
            return cls.load(folder, device=device, dtype=dtype)
        return cls(folder, load_backbone_for_inference(folder, dtype=dtype)).eval()

    def save(self, folder: Path) -> None:
        """Write the encoder into `folder`, another than it was loaded from; made if missing.

        Raises:
            ValueError: `folder` is the one it was loaded from.
        """
        if folder.resolve() == self.folder.resolve():
            raise ValueError(
                f"{folder}: expected another folder than the encoder was loaded from. Datasets are immutable: "
                "give a new folder."
            )
        folder.mkdir(parents=True, exist_ok=True)
        save_backbone(self.backbone, folder)
        for name in LAYOUT_FILES:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(self.folder / name, folder / name)

    def tokenize(self, texts: Sequence[str], *, role: Role, max_tokens: int) -> list[list[int]]:
        """Return each text's token ids; arguments and errors as `TextTokenizer`'s."""
        return list(self.tokenizer(texts, role=role, max_tokens=max_tokens))

    def forward(self, token_ids_BT: Tensor, attention_BT: Tensor) -> Tensor:
        """Return unit vectors, shape [B, D], float32.

        Args:
            token_ids_BT: ids from `tokenize`, padded on the right.
            attention_BT: 1 for a token, 0 for padding.
        """
        hidden_BTD = self.backbone(input_ids=token_ids_BT, attention_mask=attention_BT).last_hidden_state
        return F.normalize(pool(hidden_BTD, attention_BT, pooling=self.pooling), dim=-1)

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role,
        max_tokens: int,
        batch_tokens: int,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return the texts' unit vectors, in the order of the texts, without gradients or dropout.

        The network computes in the type of its weights, on any device.

        Args:
            texts: any number, none included.
            role: whose prompt is put before the texts.
            max_tokens: longest input, special tokens included.
            batch_tokens: tokens per batch, padding included.
            progress: called with the number of texts done since its last call.

        Returns:
            [N, D], float32.
        """
        tokenized = self.tokenizer(texts, role=role, max_tokens=max_tokens)
        token_ids = [np.array(ids, dtype=np.int32) for ids in tokenized]  # a tenth of the lists' memory
        vector_ND = np.empty((len(texts), self.hidden_size), dtype=np.float32)
        device = self.backbone.device
        if device.type == "cpu":
            return_freed_memory()  # the tokenizer's
        was_training = self.training
        self.eval()
        with torch.inference_mode():
            for positions in length_buckets([len(ids) for ids in token_ids], batch_tokens=batch_tokens):
                batch, attention = pad([token_ids[position] for position in positions], pad_id=self.pad_id)
                vector_ND[positions] = self(batch.to(device), attention.to(device)).cpu().numpy()
                if device.type == "cpu":
                    return_freed_memory()
                if progress is not None:
                    progress(len(positions))
        self.train(was_training)
        return vector_ND


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


def shared_encoder(folder: Path, device: str, dtype: str = "float32") -> Encoder:
    """Load an encoder for inference only; it stays loaded, as languages follow one another, until another is asked for.

    Args and errors as `Encoder.load`; dtype is `float32`, `float16` or `bfloat16`. Do not train or save it.
    """
    key = (folder, device, dtype)
    if key not in _SHARED:
        forget_encoder()
        _SHARED[key] = Encoder.load_for_inference(folder, device=device, dtype=_DTYPES[dtype])
    return _SHARED[key]


def forget_encoder() -> None:
    """Let go of what `shared_encoder` keeps, before another network is loaded: one at a time is in memory."""
    _SHARED.clear()
    gc.collect()  # a network's modules refer to each other
    return_freed_memory()


_SHARED: dict[tuple[Path, str, str], Encoder] = {}
