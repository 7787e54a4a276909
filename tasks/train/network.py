"""The encoder in training, and how texts go through it.

Shapes: C texts of a chunk, U of a batch, S of this process, T tokens, D embedding size, V token ids.
"""

import math
import resource
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tasks.models.encoder import Encoder
from tasks.models.upload import upload
from tasks.train.batch import Chunks, compose_chunks
from tasks.train.config import TrainConfig
from tasks.train.tokens import Ids
from tasks.train.workers import ALONE, Workers

_CHUNK_TOKENS = {"cpu": 1024, "cuda": 16_384}  # small enough to stay in cache or memory, large enough to be fast
_OVERHEAD_TOKENS = {"cpu": 32, "cuda": 4096}  # what the calls of one more chunk cost; 9 ms on an H100, reckoned
_GRAPH_TOKENS = {"cpu": 16_384, "cuda": 32_768}  # graphs kept by `auto`: some 10 GB for a base-sized network
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Network:
    """The encoder in training, its vocabulary narrowed to the tokens in use, and this process's place among others."""

    encoder: Encoder
    config: TrainConfig
    new_id_V: npt.NDArray[np.int64]
    """Token id in the narrowed vocabulary of each id of the full one, as `narrow_vocabulary` gives it."""
    workers: Workers = ALONE

    @property
    def device(self) -> torch.device:
        """Where the encoder is."""
        return self.encoder.backbone.device

    @property
    def dtype(self) -> torch.dtype:
        """The type in which the network multiplies."""
        automatic = "bf16" if self.device.type == "cuda" else "fp32"
        return _TYPES[automatic if self.config.precision == "auto" else self.config.precision]

    @property
    def graph_tokens(self) -> float:
        """Tokens whose graphs are kept; the others go through the network twice."""
        bounds = {"on": 0.0, "off": math.inf, "auto": float(_GRAPH_TOKENS[self.device.type])}
        return bounds[self.config.gradient_cache]

    def chunks(self, lengths: Sequence[int]) -> list[Chunks]:
        """Return each process's chunks of a list of texts."""
        chunk_tokens = self.config.chunk_tokens or _CHUNK_TOKENS[self.device.type]
        overhead_tokens = _OVERHEAD_TOKENS[self.device.type]
        return [
            compose_chunks(lengths, texts, chunk_tokens=chunk_tokens, overhead_tokens=overhead_tokens)
            for texts in self.workers.share(lengths)
        ]

    def embed(self, token_ids: Sequence[Ids]) -> Tensor:
        """Return the embeddings of a chunk, [C, D], float32; the network multiplies in `dtype`.

        Autocast begins anew with each chunk: its cast weights would otherwise collect the gradients of all chunks in
        half precision, and those cast without a graph would be used with one.
        """
        length_C = np.array([len(ids) for ids in token_ids])
        is_token_CT = np.arange(length_C.max()) < length_C[:, None]
        token_ids_CT = np.full(is_token_CT.shape, self.new_id_V[self.encoder.pad_id])
        token_ids_CT[is_token_CT] = self.new_id_V[np.concatenate(token_ids)]
        attention_CT = torch.from_numpy(is_token_CT.astype(np.int64))
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            embeddings_CD: Tensor = self.encoder(
                upload(torch.from_numpy(token_ids_CT), self.device),
                upload(attention_CT, self.device),
                is_full=bool(is_token_CT.all()),
            )
        return embeddings_CD

    def embed_all(self, token_ids: Sequence[Ids]) -> Tensor:
        """Return the embeddings of any number of texts, [U, D], without gradients, with all processes."""
        chunks = self.chunks([len(ids) for ids in token_ids])[self.workers.rank].texts
        self.encoder.eval()
        with torch.no_grad():
            parts = [self.embed([token_ids[text] for text in chunk]) for chunk in chunks]
        self.encoder.train()
        own_SD = torch.cat([torch.zeros(0, self.encoder.hidden_size, device=self.device), *parts])
        return self.workers.gather(own_SD, [text for chunk in chunks for text in chunk], num_texts=len(token_ids))

    def begin_training(self) -> None:
        """Switch the encoder to training, without dropout: a step has no random numbers."""
        self.encoder.train()
        for module in self.encoder.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
            if isinstance(getattr(module, "attention_dropout", None), float):  # some backbones keep it as a number
                setattr(module, "attention_dropout", 0.0)  # noqa: B010 - nn.Module's types know no floats
        if self.config.gradient_checkpointing:
            self._checkpoint_activations("enable")

    def end_training(self) -> None:
        """Switch the encoder back to inference."""
        self.encoder.eval()
        if self.config.gradient_checkpointing:
            self._checkpoint_activations("disable")

    def _checkpoint_activations(self, verb: str) -> None:
        backbone = self.encoder.backbone
        new, old = (
            f"activation_checkpointing_{verb}",
            f"gradient_checkpointing_{verb}",
        )  # transformers to 5.19 has the old
        getattr(backbone, new if hasattr(backbone, new) else old)()

    def peak_bytes(self) -> int:
        """Return the most memory so far: the GPU's where the encoder is on one, else this process's."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
