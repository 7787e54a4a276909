"""From a model's source to an encoder folder that transformers, sentence-transformers and Encoder load alike."""

import math
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from tokenizers import normalizers
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from tasks.models.backbone import load_backbone, save_backbone
from tasks.models.bundled import write_bundled_encoder
from tasks.models.layout import Pooling, pooling_file, read_json, write_layout, write_tokenizer_config
from tasks.models.locate import MAX_TOKENS, locate_model

_TOKEN_ROLES = ("bos", "cls", "eos", "sep", "pad", "unk", "mask")


@dataclass(frozen=True)
class EncoderFacts:
    """What an encoder is made of."""

    num_layers: int
    hidden_size: int
    num_parameters: int
    vocabulary_size: int


def write_encoder(
    source: str,
    folder: Path,
    *,
    num_layers: int | None,
    pooling: Pooling,
    query_prompt: str,
    document_prompt: str,
) -> EncoderFacts:
    """Write the encoder of `source` into `folder`; weights keep the type they are stored in.

    Args:
        source: ``bundled:multilingual-e5-small``, a local folder, or a hub id with an optional ``@revision``.
        folder: made if missing.
        num_layers: keep only the first ones; all of them where None.
        pooling: how token vectors become one vector, whatever the model's own files say.
        query_prompt: put before every query.
        document_prompt: put before every document.

    Raises:
        FileNotFoundError: there is no such model, or it has no safetensors weights.
        ValueError: an architecture that needs code from outside, a sentence-transformers model with more than pooling
            and normalisation on top or that leaves its prompts out of the mean, or fewer layers than `num_layers`.
    """
    place = locate_model(source)
    folder.mkdir(parents=True, exist_ok=True)
    if place.is_file():
        write_bundled_encoder(place, folder, num_layers=num_layers)
        max_tokens = MAX_TOKENS
    else:
        _check_model(place, prompted=bool(query_prompt or document_prompt))
        max_tokens = _copy_model(place, folder, num_layers=num_layers)
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    write_layout(
        folder,
        hidden_size=config.hidden_size,
        max_tokens=max_tokens,
        pooling=pooling,
        query_prompt=query_prompt,
        document_prompt=document_prompt,
    )
    return EncoderFacts(
        num_layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        num_parameters=_num_parameters(folder / "model.safetensors"),
        vocabulary_size=config.vocab_size,
    )


def _copy_model(source: Path, folder: Path, *, num_layers: int | None) -> int:
    """Write network and tokenizer; return the longest input that the network takes, in tokens."""
    backbone = load_backbone(source, dtype=None, num_layers=num_layers)
    save_backbone(backbone, folder)
    # a model's own tokenizer class may build another normaliser than tokenizer.json says: read the file as it stands
    reader = PreTrainedTokenizerFast if (source / "tokenizer.json").is_file() else AutoTokenizer
    tokenizer = reader.from_pretrained(source, trust_remote_code=False, local_files_only=True)
    if not tokenizer.is_fast or tokenizer.pad_token is None:
        raise ValueError(
            f"{source}: expected a fast tokenizer with a padding token, got {type(tokenizer).__name__} with "
            f"{tokenizer.pad_token!r}. Convert it with transformers and save it beside the weights."
        )
    texts = source / "sentence_bert_config.json"
    if texts.is_file() and read_json(texts).get("do_lower_case"):  # whatever the tokenizer's own file says
        own = tokenizer.backend_tokenizer.normalizer
        tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Lowercase(), *([own] if own else [])]
        )
    max_tokens = min(tokenizer.model_max_length, _num_positions(backbone))
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    tokens = {role: getattr(tokenizer, f"{role}_token") for role in _TOKEN_ROLES}
    special_tokens = {role: token for role, token in tokens.items() if token is not None}
    write_tokenizer_config(folder, max_tokens=max_tokens, special_tokens=special_tokens)
    return max_tokens


def _check_model(source: Path, *, prompted: bool) -> None:
    """Refuse what would load, but as another model than its makers meant."""
    config = read_json(source / "config.json")
    if config.get("model_type") not in CONFIG_MAPPING or config.get("is_encoder_decoder"):
        raise ValueError(
            f"{source}: expected an encoder or decoder that transformers itself knows, got model_type "
            f"{config.get('model_type')!r}. Code from a hub is not run: choose another model."
        )
    pooled = pooling_file(source)
    if prompted and pooled.is_file() and not read_json(pooled).get("include_prompt", True):
        raise ValueError(
            f"{pooled}: expected include_prompt true for a model with prompts, got false. Choose another model, or set "
            'the encoder\'s prompts to "".'
        )


def _num_positions(backbone: PreTrainedModel) -> int:
    """Return how many tokens have a position; RoBERTa's kind counts from the padding id on."""
    positions = int(backbone.config.max_position_embeddings)
    offset_idx = getattr(getattr(backbone, "embeddings", None), "padding_idx", None)
    return positions if offset_idx is None else positions - offset_idx - 1


def _num_parameters(file: Path) -> int:
    """Count the weights without the stand-in pooler."""
    with safe_open(file, framework="numpy") as weights:
        names = [name for name in weights.keys() if not name.startswith("pooler.")]  # noqa: SIM118
        return sum(math.prod(weights.get_slice(name).get_shape()) for name in names)
