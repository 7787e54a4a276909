"""The dense encoder: texts to unit vectors. Shapes: N texts, B texts in a batch, T tokens, D vector size."""

import gc
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self, assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from tasks.ahead import made_ahead
from tasks.models.backbone import DTYPES, load_backbone, load_backbone_for_inference, save_backbone
from tasks.models.batches import Tokens, join_tokens, return_freed_memory
from tasks.models.feed import run_batches
from tasks.models.layout import LAYOUT_FILES, Pooling, Role, read_pooling
from tasks.models.tokenizer import TextTokenizer

_TEXTS_AHEAD = 16_384  # tokenized at a time while a GPU computes: some seconds of it


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
            device: ``cpu``, ``cuda`` or one of several, as ``cuda:1``.
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

    def forward(self, token_ids_BT: Tensor, attention_BT: Tensor, *, is_full: bool = False) -> Tensor:
        """Return unit vectors, shape [B, D], float32.

        Args:
            token_ids_BT: ids from `tokenize`, padded on the right.
            attention_BT: 1 for a token, 0 for padding.
            is_full: there is no padding, and so nothing to wait for: the network itself would ask the GPU.
        """
        mask_BT = None if is_full else attention_BT
        hidden_BTD = self.backbone(input_ids=token_ids_BT, attention_mask=mask_BT).last_hidden_state
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
        (vector_ND,) = self.embed_each(
            [texts], role=role, max_tokens=max_tokens, batch_tokens=batch_tokens, progress=progress
        )
        return vector_ND

    def embed_each(
        self,
        shards: Iterable[Sequence[str]],
        *,
        role: Role,
        max_tokens: int,
        batch_tokens: int,
        progress: Callable[[int], None] | None = None,
        ahead: bool | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Yield the vectors of several shards of texts, each as `embed` returns them; its arguments, and one more.

        Args:
            shards: may be a generator.
            role: see `embed`.
            max_tokens: see `embed`.
            batch_tokens: see `embed`.
            progress: see `embed`.
            ahead: a thread reads and tokenizes while the network computes; None: for a GPU. Else a shard's tokenizer is
                gone when the network runs.
        """
        ahead = self.backbone.device.type != "cpu" if ahead is None else ahead
        tokenized = self._tokenized(shards, role=role, max_tokens=max_tokens, ahead=ahead)
        parts: list[NDArray[np.float32]] = []
        for tokens, is_last in made_ahead(tokenized, threaded=ahead):
            parts.append(self._vectors(tokens, max_tokens, batch_tokens=batch_tokens, progress=progress))
            if is_last:
                yield parts[0] if len(parts) == 1 else np.concatenate(parts)
                parts = []

    def _tokenized(
        self, shards: Iterable[Sequence[str]], *, role: Role, max_tokens: int, ahead: bool
    ) -> Iterator[tuple[Tokens, bool]]:
        """Yield the tokens of all shards, and whether a shard ends with them: some texts of it at a time if `ahead`."""
        for texts in shards:
            size = _TEXTS_AHEAD if ahead else max(len(texts), 1)
            for start in range(0, max(len(texts), 1), size):
                some = texts[start : start + size]
                blocks = self.tokenizer.blocks(some, role=role, max_tokens=max_tokens, whole=ahead)
                tokens = join_tokens(list(blocks))
                del blocks  # it holds the tokenizer
                if not ahead:
                    return_freed_memory()
                yield tokens, start + size >= len(texts)

    def _vectors(
        self, tokens: Tokens, max_tokens: int, *, batch_tokens: int, progress: Callable[[int], None] | None
    ) -> NDArray[np.float32]:
        vector_ND = np.empty((len(tokens.length_N), self.hidden_size), dtype=np.float32)
        was_training = self.training
        self.eval()
        run_batches(
            tokens,
            lambda batch: self(batch.token_ids_BT, batch.attention_BT, is_full=batch.is_full),
            vector_ND,
            where="embed",
            device=self.backbone.device,
            pad_id=self.pad_id,
            max_tokens=max_tokens,
            batch_tokens=batch_tokens,
            progress=progress,
        )
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
        _SHARED[key] = Encoder.load_for_inference(folder, device=device, dtype=DTYPES[dtype])
    return _SHARED[key]


def forget_encoder() -> None:
    """Let go of what `shared_encoder` keeps, before another network is loaded: one at a time is in memory."""
    _SHARED.clear()
    gc.collect()  # a network's modules refer to each other
    return_freed_memory()


_SHARED: dict[tuple[Path, str, str], Encoder] = {}
