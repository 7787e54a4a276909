"""A ready cross-encoder: (query, document) -> raw score. Shapes: N pairs, B pairs of a batch, T tokens."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from tasks.ahead import made_ahead
from tasks.models.backbone import load_with_stored_rows
from tasks.models.batches import Batch, Tokens, join_tokens, pack_tokens, return_freed_memory
from tasks.models.feed import run_batches

_OPTIONS = {"trust_remote_code": False, "local_files_only": True}
_PAIRS_AT_ONCE = 256  # for the tokenizer, whose intermediate results are many times the ids
_PAIRS_AHEAD = 4096  # tokenized at a time while a GPU computes


class PairClassifier:
    """A sequence classifier with one logit, such as BAAI/bge-reranker-v2-m3."""

    def __init__(self, network: PreTrainedModel, folder: Path) -> None:
        """Take a network, and where its tokenizer lies."""
        self.network = network
        self.folder = folder

    @classmethod
    def load(cls, folder: Path, *, device: str, dtype: torch.dtype = torch.float32) -> Self:
        """Load from safetensors, without remote code.

        Args:
            folder: config.json, weights and tokenizer.
            device: ``cpu``, ``cuda`` or one of several, as ``cuda:1``.
            dtype: of the weights, in which it computes on any device.

        Raises:
            ValueError: it has not exactly one output, or its file lacks weights (an encoder without a head).
        """
        network, missing = _load(folder, device, dtype)
        if network.config.num_labels != 1 or missing:
            raise ValueError(
                f"cross-encoder {str(folder)!r}: expected a sequence classifier with 1 output and all its weights, got "
                f"{network.config.num_labels} outputs and no weights for {sorted(missing)[:3]}. "
                "Choose a cross-encoder, not an encoder."
            )
        return cls(network.to(device).eval(), folder)

    def score_pairs(
        self,
        pairs: Sequence[tuple[str, str]],
        *,
        max_query_tokens: int,
        max_document_tokens: int,
        batch_tokens: int,
        progress: Callable[[int], None] | None = None,
        ahead: bool | None = None,
    ) -> NDArray[np.float32]:
        """Return the logit of each (query, document), in the order of the pairs.

        Long documents are cut, queries are not: both together have `max_query_tokens` + `max_document_tokens`.

        Args:
            pairs: query and document.
            max_query_tokens: see above.
            max_document_tokens: see above.
            batch_tokens: tokens per batch, padding included.
            progress: is told how many pairs are newly done.
            ahead: pairs are tokenized while the network computes; None: for a GPU. Else the tokenizer, often larger
                than the layers, is gone when the network runs.
        """
        ahead = self.network.device.type != "cpu" if ahead is None else ahead
        raw_N = np.empty(len(pairs), dtype=np.float32)
        max_length = max_query_tokens + max_document_tokens
        tokenized = self._tokenized(pairs, max_length=max_length, ahead=ahead)
        done = 0
        for tokens, padding in made_ahead(tokenized, threaded=ahead):
            run_batches(
                tokens,
                self._logits,
                raw_N[done : done + len(tokens.length_N)],
                where="cross-encoder",
                device=self.network.device,
                max_tokens=max_length,
                batch_tokens=batch_tokens,
                progress=progress,
                **padding,
            )
            done += len(tokens.length_N)
        return raw_N

    def _logits(self, batch: Batch) -> Tensor:
        types = {} if batch.types_BT is None else {"token_type_ids": batch.types_BT}
        logits: Tensor = self.network(input_ids=batch.token_ids_BT, attention_mask=batch.mask, **types).logits
        return logits[:, 0]

    def _tokenized(
        self, pairs: Sequence[tuple[str, str]], *, max_length: int, ahead: bool
    ) -> Iterator[tuple[Tokens, dict[str, Any]]]:
        """Yield the tokens of all pairs, some of them at a time if `ahead`, and how they are padded."""
        if not ahead:
            tokenized = _tokenize(_open_tokenizer(self.folder), pairs, max_length, at_once=_PAIRS_AT_ONCE)
            return_freed_memory()
            yield tokenized
        else:
            for start in range(0, len(pairs), _PAIRS_AHEAD):
                some = pairs[start : start + _PAIRS_AHEAD]
                yield _tokenize(self._kept_tokenizer, some, max_length, at_once=_PAIRS_AHEAD)

    @functools.cached_property
    def _kept_tokenizer(self) -> Any:
        return _open_tokenizer(self.folder)


def _open_tokenizer(folder: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(folder, **_OPTIONS)
    if tokenizer.pad_token_id is None:
        raise ValueError(
            f"cross-encoder {str(folder)!r}: expected a tokenizer with a padding token, got none. "
            "Choose another cross-encoder."
        )
    return tokenizer


def _tokenize(
    tokenizer: Any, pairs: Sequence[tuple[str, str]], max_length: int, *, at_once: int
) -> tuple[Tokens, dict[str, Any]]:
    parts, options = [], {"truncation": "only_second", "max_length": max_length}
    for start in range(0, len(pairs), at_once):
        queries, documents = (list(texts) for texts in zip(*pairs[start : start + at_once], strict=True))
        encoded = tokenizer(queries, documents, **options).data
        for place in [place for place, document in enumerate(documents) if not document]:
            alone = tokenizer(queries[place], documents[place], **options).data  # to transformers it is no pair
            for name, values in alone.items():
                encoded[name][place] = values
        parts.append(pack_tokens(encoded["input_ids"], encoded.get("token_type_ids")))
    return join_tokens(parts), {"pad_id": tokenizer.pad_token_id, "left": tokenizer.padding_side == "left"}


def _load(place: Path, device: str, dtype: torch.dtype) -> tuple[Any, set[str]]:
    """Load the network, on a CPU with its word embeddings left in the file where they can; and what the file lacks."""
    auto = AutoModelForSequenceClassification
    if device == "cpu":
        config = AutoConfig.from_pretrained(place, **_OPTIONS)
        stored = load_with_stored_rows(auto, place, config, dtype=dtype)
        if stored is not None:
            return stored
    network, report = auto.from_pretrained(
        place, use_safetensors=True, dtype=dtype, output_loading_info=True, **_OPTIONS
    )
    return network, set(report["missing_keys"])
