"""The sentence-transformers files of a model folder: pooling and prompts live here, nowhere else.

The same folder loads in `transformers`, in `sentence-transformers` and in our Encoder, and gives the same
vectors in the last two, because all of them read these files. Light on purpose: no torch.
"""

import json
from pathlib import Path
from typing import Any, Literal, get_args

Pooling = Literal["mean", "cls", "last"]
Role = Literal["query", "document"]
Dtype = Literal["float32", "float16", "bfloat16"]

LAYOUT_FILES = (  # all of a model folder but config.json and the weights
    "tokenizer.json",
    "tokenizer_config.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
    "2_Normalize/config.json",
)
_MODULES = {"Transformer", "Pooling", "Normalize"}
_POOLING_KEYS: dict[Pooling, str] = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "last": "pooling_mode_lasttoken",
}
_POOLING_NAMES: dict[str, Pooling] = {"cls": "cls", "mean": "mean", "lasttoken": "last"}
_OTHER_POOLING_KEYS = (
    "pooling_mode_max_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
)


def write_layout(
    folder: Path,
    *,
    hidden_size: int,
    max_tokens: int,
    pooling: Pooling,
    query_prompt: str,
    document_prompt: str,
) -> None:
    """Write the module files that make `folder` a sentence-transformers model.

    Args:
        folder: a Hugging Face model folder; must exist.
        hidden_size: width of the token vectors.
        max_tokens: longest input that the network takes, special tokens included.
        pooling: how token vectors become one vector; it is L2-normalised afterwards.
        query_prompt: put before every query, for example ``"query: "``.
        document_prompt: put before every document.

    Raises:
        ValueError: `pooling` is unknown.
    """
    if pooling not in get_args(Pooling):
        raise ValueError(
            f"pooling: expected one of {list(get_args(Pooling))}, got {pooling!r}. Correct the encoder's settings."
        )
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    flags = {key: name == pooling for name, key in _POOLING_KEYS.items()} | dict.fromkeys(_OTHER_POOLING_KEYS, False)
    prompts = {"query": query_prompt, "document": document_prompt}
    write_json(folder / "modules.json", modules)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_tokens, "do_lower_case": False})
    write_json(
        folder / "config_sentence_transformers.json",
        {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"},
    )
    write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": hidden_size, **flags, "include_prompt": True},
    )
    write_json(folder / "2_Normalize" / "config.json", {})


def pooling_file(folder: Path) -> Path:
    """Name the configuration of a folder's pooling, which may be missing: where modules.json says, else the usual."""
    return folder / read_modules(folder).get("Pooling", "1_Pooling") / "config.json"


def read_modules(folder: Path) -> dict[str, str]:
    """Return the kinds of module that a model has, each with its place; none where no file says.

    Raises:
        ValueError: there is more on top than what we compute: pooling and normalisation.
    """
    listed = folder / "modules.json"
    modules = read_json(listed) if listed.is_file() else []
    places = {module["type"].rsplit(".", 1)[-1]: module["path"] for module in modules}
    if foreign := sorted(places.keys() - _MODULES):
        raise ValueError(
            f"{folder}: expected a sentence-transformers model of {sorted(_MODULES)}, got {foreign} as well. "
            "Choose a model without further layers on top."
        )
    return places


def read_pooling(folder: Path) -> Pooling:
    """Return the pooling that `folder` was written with.

    Raises:
        FileNotFoundError: the folder has no configuration of a pooling.
        ValueError: the pooling is none that we know, or several at once.
    """
    path = pooling_file(folder)
    config = read_json(path)
    given = config.get("pooling_mode")  # sentence-transformers 6 writes this, older ones the flags
    if isinstance(given, str):
        chosen = [given]
    else:
        chosen = [key for key, value in config.items() if key.startswith("pooling_mode_") and value]
    names = _POOLING_NAMES | {key: name for name, key in _POOLING_KEYS.items()}
    if len(chosen) != 1 or chosen[0] not in names:
        raise ValueError(
            f"{path}: expected exactly one pooling of cls, mean, last, got {chosen or given}. "
            "Choose an encoder with one of these poolings."
        )
    return names[chosen[0]]


def read_prompts(folder: Path) -> dict[Role, str]:
    """Return the texts that go before every query and every document, as sentence-transformers reads them.

    They are empty where none is set; a document's has one of three names. A default is any text's, but for a query's.

    Raises:
        FileNotFoundError: the folder has no ``config_sentence_transformers.json``.
    """
    config = read_json(folder / "config_sentence_transformers.json")
    prompts = config.get("prompts") or {}
    name = config.get("default_prompt_name")
    default = prompts.get(name, "")
    named = [prompts[name] for name in ("document", "passage", "corpus") if name in prompts]
    document = next(filter(None, named), "" if named or name == "query" else default)
    return {"query": prompts.get("query", default), "document": document}


def read_max_tokens(folder: Path) -> int:
    """Return the longest input that the network takes, in tokens, special tokens included.

    Raises:
        FileNotFoundError: the folder has no ``sentence_bert_config.json``.
    """
    return int(read_json(folder / "sentence_bert_config.json")["max_seq_length"])


def write_tokenizer_config(folder: Path, *, max_tokens: int, special_tokens: dict[str, str]) -> None:
    """Write the tokenizer_config.json that goes with a tokenizer.json, so that both are read as they stand.

    The class is the generic one on purpose: a model's own class builds its own normaliser and ignores the file's.

    Args:
        folder: holds tokenizer.json.
        max_tokens: longest input, special tokens included.
        special_tokens: role (``bos``, ``cls``, ``eos``, ``sep``, ``pad``, ``unk``, ``mask``) and its text.
    """
    config: dict[str, object] = {f"{role}_token": text for role, text in special_tokens.items()}
    config |= {
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": max_tokens,
        "padding_side": "right",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "truncation_side": "right",
    }
    write_json(folder / "tokenizer_config.json", config)


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON with sorted keys: the same value gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the value in a JSON file of a model folder.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no JSON.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: expected a file of a sentence-transformers model, got none. "
            "Make the folder with write_encoder or write_layout."
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON, got: {error}. Fetch the model again, or mend the file.") from error
