"""A ready cross-encoder from a folder or the hub: (query, document) -> raw score. Shapes: B pairs, T tokens."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BatchEncoding,
    PreTrainedModel,
)

from tasks.models.backbone import load_with_stored_rows
from tasks.models.batches import length_buckets, return_freed_memory
from tasks.models.locate import locate_model

_OPTIONS = {"trust_remote_code": False, "local_files_only": True}


class PairClassifier:
    """A sequence classifier with one logit, such as BAAI/bge-reranker-v2-m3."""

    def __init__(self, network: PreTrainedModel, folder: Path) -> None:
        """Take a network, and where its tokenizer lies."""
        self.network = network
        self.folder = folder

    @classmethod
    def load(cls, source: str, *, device: str) -> Self:
        """Load from safetensors, without remote code.

        Args:
            source: a local folder, or a hub id with an optional ``@revision``.
            device: ``cpu`` or ``cuda``.

        Raises:
            FileNotFoundError: there is no such model, or it has no safetensors weights.
            ValueError: it has not exactly one output, or its file lacks weights (an encoder without a head).
        """
        place = locate_model(source)
        if not place.is_dir():
            raise ValueError(
                f"cross-encoder {source!r}: expected a folder or a hub id, got a bundled encoder. "
                "Leave denoise.cross_encoder empty: denoise.judge fitted makes a judge of the encoder."
            )
        network, missing = _load(place, device)
        if network.config.num_labels != 1 or missing:
            raise ValueError(
                f"cross-encoder {source!r}: expected a sequence classifier with 1 output and all its weights, got "
                f"{network.config.num_labels} outputs and no weights for {sorted(missing)[:3]}. "
                "Choose a cross-encoder, not an encoder."
            )
        return cls(network.to(device).eval(), place)

    def score_pairs(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        max_query_tokens: int,
        max_document_tokens: int,
        batch_tokens: int,
        progress: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return the logit of each (query, document), in the order of the pairs.

        Long documents are cut, queries are not: both together have `max_query_tokens` + `max_document_tokens`.

        Args:
            pairs: query and document.
            max_query_tokens: see above.
            max_document_tokens: see above.
            batch_tokens: tokens per batch, padding included.
            progress: is told how many pairs are newly done.
        """
        max_length = max_query_tokens + max_document_tokens
        batches = _tokenize(self.folder, pairs, max_length=max_length, batch_tokens=batch_tokens)
        raw_N = np.empty(len(pairs), dtype=np.float32)
        device = self.network.device
        for positions, padded in batches:
            if device.type == "cpu":
                return_freed_memory()
            batch = padded.to(device)
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                raw_N[positions] = self.network(**batch).logits[:, 0].float().cpu().numpy()
            if progress is not None:
                progress(len(positions))
        return raw_N


def _tokenize(
    folder: Path, pairs: Sequence[tuple[str, str]], *, max_length: int, batch_tokens: int
) -> list[tuple[list[int], BatchEncoding]]:
    """Return all batches, and which pairs they hold. The tokenizer, often larger than the layers, is then gone."""
    tokenizer = AutoTokenizer.from_pretrained(folder, **_OPTIONS)
    encoded = [  # the lists alone: what else an encoding holds is many times the ids
        tokenizer(query, document, truncation="only_second", max_length=max_length).data for query, document in pairs
    ]
    return [
        (positions, tokenizer.pad([encoded[position] for position in positions], return_tensors="pt"))
        for positions in length_buckets([len(one["input_ids"]) for one in encoded], batch_tokens=batch_tokens)
    ]


def _load(place: Path, device: str) -> tuple[Any, set[str]]:
    """Load the network, on a CPU with its word embeddings left in the file where they can; and what the file lacks."""
    auto = AutoModelForSequenceClassification
    if device == "cpu":
        config = AutoConfig.from_pretrained(place, **_OPTIONS)
        stored = load_with_stored_rows(auto, place, config, dtype=torch.float32)
        if stored is not None:
            return stored
    network, report = auto.from_pretrained(
        place, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **_OPTIONS
    )
    return network, set(report["missing_keys"])
