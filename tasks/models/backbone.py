"""Load and save the network of an encoder through transformers: safetensors only, no remote code, no network."""

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from tasks.models.word_embeddings import StoredRows, find_word_embeddings

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
"""By their names in settings."""

_LOOKED_UP_ONLY = ("bert", "roberta", "xlm-roberta")  # their forward does nothing with the matrix but look up rows


def load_backbone(
    folder: Path, *, dtype: torch.dtype | None = torch.float32, num_layers: int | None = None
) -> PreTrainedModel:
    """Return the network in `folder`, in eval mode and without its pooler (which encoders do not use).

    Args:
        folder: config.json and safetensors weights.
        dtype: of the weights; None keeps that of the file.
        num_layers: keep only the first ones; all of them where None.

    Raises:
        ValueError: the weights do not fill the network, the architecture is not one of transformers' own, or
            the network has fewer layers than `num_layers`.
    """
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    if num_layers is not None:
        if not 1 <= num_layers <= config.num_hidden_layers:
            raise ValueError(
                f"{folder}: expected num_layers in 1..{config.num_hidden_layers}, got {num_layers}. "
                "Correct the encoder's num_layers."
            )
        config.num_hidden_layers = num_layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:num_layers]
    with _quiet():
        backbone, report = AutoModel.from_pretrained(
            folder,
            config=config,
            dtype=dtype or "auto",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
    return _without_pooler(backbone, report["missing_keys"], folder)


def load_backbone_for_inference(folder: Path, *, dtype: torch.dtype) -> PreTrainedModel:
    """Return the same network for inference on a CPU: its word embeddings stay in the file where they can.

    Args and errors as `load_backbone`. It gives the same vectors; it cannot be trained or saved.
    """
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    with _quiet():
        loaded = load_with_stored_rows(AutoModel, folder, config, dtype=dtype)
    return load_backbone(folder, dtype=dtype) if loaded is None else _without_pooler(*loaded, folder)


def load_with_stored_rows(
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
    if config.model_type not in _LOOKED_UP_ONLY:
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


def _without_pooler(backbone: Any, missing_names: set[str], folder: Path) -> PreTrainedModel:
    missing = sorted(name for name in missing_names if not name.startswith("pooler."))
    if missing:
        raise ValueError(
            f"{folder}: expected weights for every part of {type(backbone).__name__}, got none for {missing[:5]}. "
            "The file is incomplete or of another architecture: fetch the model again."
        )
    if getattr(backbone, "pooler", None) is not None:
        backbone.pooler = None
    return cast("PreTrainedModel", backbone)  # from_pretrained has put it into eval mode


def save_backbone(backbone: PreTrainedModel, folder: Path) -> None:
    """Write config.json and model.safetensors; the same weights give the same bytes.

    Where the architecture has a pooler an identity stands in for it, as `AutoModel` would make a random one.
    """
    state = {name: weight.detach().cpu().contiguous() for name, weight in backbone.state_dict().items()}
    with _quiet():
        backbone.save_pretrained(folder, state_dict=state | _identity_pooler(backbone), max_shard_size="1000GB")


def _identity_pooler(backbone: PreTrainedModel) -> dict[str, Tensor]:
    with torch.device("meta"):  # names and shapes only
        pooler = getattr(type(backbone)(backbone.config), "pooler", None)
    if pooler is None:
        return {}
    shapes = {f"pooler.{name}": weight.shape for name, weight in pooler.named_parameters()}
    return {
        name: (torch.eye(*shape) if len(shape) == 2 else torch.zeros(shape)).to(backbone.dtype)
        for name, shape in shapes.items()
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' own progress bars and load reports off the screen: we draw bars, and check the report."""
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers gives it no types
    logging.set_verbosity(ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # transformers gives it no types
