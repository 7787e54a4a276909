"""The cross-encoder: (query, document) -> raw relevance score. Shapes: B pairs, T tokens, D hidden size, N texts.

A network that reads query and document together, begun from a bi-encoder, ranks at chance and needs thousands of judged
pairs. This one starts as the bi-encoder's own ranking and learns what to add to it:

    raw = weight * (cosine - centre) / spread  +  head(joint states)

The cosine is the unchanged encoder's. The joint states come from the encoder's first layers, copied and trained, run on
`<s> query </s> </s> document </s>`; the head compares both halves and starts at zero. The word embeddings stay as they
are, so that neither gradients nor optimizer state exist for the vocabulary.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tasks.models.batches import length_buckets, pad
from tasks.models.encoder import Encoder
from tasks.models.layout import Role, read_json, write_json

SETTINGS_FILE, WEIGHTS_FILE = "cross_encoder.json", "cross_encoder.safetensors"
_START_WEIGHT = 2.5  # logits per standard deviation of the cosine


@dataclass(frozen=True)
class JointIds:
    """One pair as the network reads it: all token ids, and how many of them are the query's."""

    ids: list[int]
    num_query: int


class CrossEncoder(nn.Module):
    """A frozen encoder, trained copies of its first layers, and a head."""

    centre: Tensor
    spread: Tensor

    def __init__(self, encoder: Encoder, *, num_layers: int, seed: int) -> None:
        """Start from an encoder: its ranking is the new network's until it is trained.

        Args:
            encoder: is frozen.
            num_layers: the first layers that are copied and read query and document together.
            seed: of the fresh head.

        Raises:
            ValueError: the encoder is not built like BERT, or has fewer layers than `num_layers`.
        """
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        found = _layers(encoder)
        if not 1 <= num_layers <= len(found):
            raise ValueError(
                f"cross-encoder: expected num_layers in 1..{len(found)}, got {num_layers}. "
                "Correct denoise.fit.num_layers."
            )
        self.joint_layers = nn.ModuleList(copy.deepcopy(list(found)[:num_layers])).requires_grad_(True)
        size = encoder.hidden_size
        generator = torch.Generator().manual_seed(seed)
        self.dense, self.out = nn.Linear(4 * size, size), nn.Linear(size, 1)
        with torch.no_grad():
            self.dense.weight.copy_(torch.randn(self.dense.weight.shape, generator=generator) * 0.02)
            for zero in (self.dense.bias, self.out.weight, self.out.bias):
                zero.zero_()
        self.weight = nn.Parameter(torch.tensor(_START_WEIGHT))
        self.register_buffer("centre", torch.tensor(0.0))
        self.register_buffer("spread", torch.tensor(1.0))
        self.to(encoder.backbone.device)

    @classmethod
    def load(cls, folder: Path, *, encoder: Encoder) -> Self:
        """Return what `save` wrote, on the encoder's device.

        Args:
            folder: as `save` wrote it.
            encoder: the one that it was started from; its weights are not in `folder`.

        Raises:
            FileNotFoundError: `folder` holds no cross-encoder of ours.
            ValueError: its weights do not fit the encoder.
        """
        network = cls(encoder, num_layers=read_json(folder / SETTINGS_FILE)["num_layers"], seed=0)
        weights = load_file(folder / WEIGHTS_FILE)
        expected = network.own_state()
        if {name: tensor.shape for name, tensor in weights.items()} != {n: t.shape for n, t in expected.items()}:
            raise ValueError(
                f"{folder}: expected weights that fit the encoder in {encoder.folder}, got others. "
                "Give the encoder that the cross-encoder was started from."
            )
        network.load_state_dict(weights, strict=False)
        return network.eval()

    def save(self, folder: Path) -> None:
        """Write what is not the encoder's; the same weights give the same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / SETTINGS_FILE, {"num_layers": len(self.joint_layers)})
        save_file(self.own_state(), folder / WEIGHTS_FILE)

    def own_state(self) -> dict[str, Tensor]:
        """The weights and constants that are not the encoder's, on the CPU."""
        state = self.state_dict()
        return {n: t.detach().cpu().contiguous() for n, t in state.items() if not n.startswith("encoder.")}

    def tokenize_pairs(
        self, pairs: Sequence[tuple[str, str]], *, max_query_tokens: int, max_document_tokens: int
    ) -> list[JointIds]:
        """Return each (query, document) as one input, with the encoder's prompts before both."""

        def ids_of(role: Role, texts: list[str], max_tokens: int) -> dict[str, list[int]]:
            distinct = sorted(set(texts))
            found = self.encoder.tokenize(distinct, role=role, max_tokens=max_tokens)
            return dict(zip(distinct, found, strict=True))

        if max_query_tokens + max_document_tokens > self.encoder.max_tokens:
            raise ValueError(
                f"max_tokens: expected query and document to have {self.encoder.max_tokens} tokens at most, got "
                f"{max_query_tokens} + {max_document_tokens}. Lower denoise.fit.max_document_tokens."
            )
        queries = ids_of("query", [query for query, _ in pairs], max_query_tokens)
        documents = ids_of("document", [document for _, document in pairs], max_document_tokens)
        # `<s> A </s> </s> B </s>`: the document's first token, `<s>`, gives way to a second end
        return [
            JointIds([*queries[query], queries[query][-1], *documents[document][1:]], len(queries[query]))
            for query, document in pairs
        ]

    def set_cosine_scale(self, cosines: NDArray[np.float32]) -> None:
        """Centre the cosines on those of the training pairs; e5's lie between 0.7 and 0.95."""
        self.centre.fill_(float(cosines.mean()))
        self.spread.fill_(max(float(cosines.std()), 1e-4))

    def forward(self, joint: Sequence[JointIds], cosine_B: Tensor) -> Tensor:
        """Return raw scores (logits), shape [B], float32."""
        device = self.encoder.backbone.device
        token_ids_BT, attention_BT = pad([pair.ids for pair in joint], pad_id=self.encoder.pad_id)
        token_ids_BT, attention_BT = token_ids_BT.to(device), attention_BT.to(device)
        num_query_B = torch.tensor([pair.num_query for pair in joint], device=device)
        hidden_BTD: Tensor = self.encoder.backbone.get_submodule("embeddings")(input_ids=token_ids_BT)
        masked_B11T = torch.zeros_like(attention_BT, dtype=hidden_BTD.dtype)[:, None, None, :].masked_fill(
            attention_BT[:, None, None, :] == 0, torch.finfo(hidden_BTD.dtype).min
        )
        for layer in self.joint_layers:
            hidden_BTD = layer(hidden_BTD, masked_B11T)
        is_query_BT = torch.arange(token_ids_BT.shape[1], device=device)[None, :] < num_query_B[:, None]
        query_BD = _mean(hidden_BTD, is_query_BT)
        document_BD = _mean(hidden_BTD, ~is_query_BT & (attention_BT == 1))
        compared = [query_BD, document_BD, query_BD * document_BD, (query_BD - document_BD).abs()]
        learned_B: Tensor = self.out(torch.tanh(self.dense(torch.cat(compared, dim=1))))[:, 0]
        cosine_B = (cosine_B.to(device) - self.centre) / self.spread
        return learned_B.float() + self.weight * cosine_B

    def score_pairs(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        max_query_tokens: int,
        max_document_tokens: int,
        batch_tokens: int,
        cosines: NDArray[np.float32] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return the raw score of each (query, document), in the order of the pairs, without gradients.

        On a GPU the network computes in bfloat16, on a CPU in float32.

        Args:
            pairs: texts; any number, none included.
            max_query_tokens: longest query, special tokens included.
            max_document_tokens: longest document; both together at most what the encoder takes.
            batch_tokens: tokens per batch, padding included.
            cosines: of the pairs, where they are known.
            progress: called with the number of pairs done since its last call.

        Returns:
            [N], float32.
        """
        limits = {"max_query_tokens": max_query_tokens, "max_document_tokens": max_document_tokens}
        if cosines is None:
            cosines = find_cosines(self.encoder, pairs, batch_tokens=batch_tokens, **limits)
        cosine_N = torch.from_numpy(cosines)
        joint = self.tokenize_pairs(pairs, **limits)
        raw_N = np.empty(len(pairs), dtype=np.float32)
        for positions in _batches(joint, batch_tokens):
            batch = [joint[position] for position in positions]
            device = self.encoder.backbone.device.type
            with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                raw_N[positions] = self(batch, cosine_N[positions]).float().cpu().numpy()
            if progress is not None:
                progress(len(positions))
        return raw_N


def find_cosines(
    encoder: Encoder,
    pairs: Sequence[tuple[str, str]],
    *,
    max_query_tokens: int,
    max_document_tokens: int,
    batch_tokens: int,
) -> NDArray[np.float32]:
    """Return the encoder's cosine of each (query, document), [N] float32; each distinct text is embedded once.

    Args:
        encoder: the frozen one; folds of one encoder share the result.
        pairs: texts; any number, none included.
        max_query_tokens: queries are cut to this.
        max_document_tokens: documents are cut to this.
        batch_tokens: tokens per batch, padding included.
    """

    def embed(role: Role, texts: set[str], max_tokens: int) -> dict[str, NDArray[np.float32]]:
        distinct = sorted(texts)
        vectors = encoder.embed(distinct, role=role, max_tokens=max_tokens, batch_tokens=batch_tokens)
        return dict(zip(distinct, vectors, strict=True))

    queries = embed("query", {query for query, _ in pairs}, max_query_tokens)
    documents = embed("document", {document for _, document in pairs}, max_document_tokens)
    return np.array([queries[query] @ documents[document] for query, document in pairs], dtype=np.float32)


def count_layers(encoder: Encoder) -> int:
    """Count the layers that a cross-encoder may copy.

    Raises:
        ValueError: the encoder is not built like BERT.
    """
    return len(_layers(encoder))


def _batches(joint: Sequence[JointIds], batch_tokens: int) -> Iterator[list[int]]:
    yield from length_buckets([len(pair.ids) for pair in joint], batch_tokens=batch_tokens)


def _mean(hidden_BTD: Tensor, mask_BT: Tensor) -> Tensor:
    mask_BT1 = mask_BT.unsqueeze(-1).float()
    return (hidden_BTD.float() * mask_BT1).sum(dim=1) / mask_BT1.sum(dim=1).clamp(min=1.0)


def _layers(encoder: Encoder) -> nn.ModuleList:
    """The transformer layers of a network that is built like BERT: embeddings, then encoder.layer."""
    layers = getattr(getattr(encoder.backbone, "encoder", None), "layer", None)
    if not isinstance(layers, nn.ModuleList) or not hasattr(encoder.backbone, "embeddings"):
        raise ValueError(
            f"{encoder.folder}: expected a network built like BERT or XLM-R, got {type(encoder.backbone).__name__}. "
            "Configure denoise.cross_encoder, a ready cross-encoder."
        )
    return layers
