"""From settings to a client that asks: the one place that reads the endpoint's key."""

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.engine.deferred import deferred
from tasks.models.chat import ChatModel
from tasks.models.chat.budget import Budget
from tasks.models.chat.config import ChatConfig
from tasks.models.chat.endpoint import Endpoint
from tasks.models.chat.identity import locate_chat_model
from tasks.models.chat.memory import Memory, RememberingChat

if TYPE_CHECKING:
    from tasks.models.chat import local as chat_local
else:
    chat_local = deferred("tasks.models.chat.local")  # an endpoint needs no torch


def open_chat(config: ChatConfig, *, device: str, batch_tokens: int, adapter: Path | None = None) -> ChatModel:
    """Return the client that the settings describe, with a fresh budget.

    Args:
        config: which LLM, where and how.
        device: `cpu` or `cuda`, of a local LLM.
        batch_tokens: tokens per batch of a local LLM, prompts and replies together.
        adapter: a folder with a LoRA adapter for a local LLM, as peft saves it.

    Raises:
        ValueError: an adapter for an endpoint, or a local model that cannot chat.
        FileNotFoundError: there is no such local model.
    """
    budget = Budget(max_calls=config.max_calls, max_tokens=config.max_tokens)
    if config.client == "local":
        model, tokenizer = chat_local.load_chat_model(locate_chat_model(config.model), device=device, adapter=adapter)
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
            f"LLM: expected a local model for the adapter {adapter}, got the endpoint {config.base_url}. "
            "Set client: local, or serve the adapted model there."
        )
    return Endpoint(
        base_url=config.base_url,
        model=config.model,
        temperature=config.temperature,
        max_new_tokens=config.max_new_tokens,
        api_key=os.environ.get(config.api_key_variable, "").strip() or None,
        max_concurrency=config.max_concurrency,
        timeout_seconds=config.timeout_seconds,
        max_retries=config.max_retries,
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
    """Return a client that asks only what `memory` does not hold; arguments as `open_chat`'s.

    Args:
        config: which LLM, where and how.
        memory: an open `storage.Journal`.
        identity: `chat_identity` of the model, with that of its adapter if it has one.
        device: `cpu` or `cuda`, of a local LLM.
        batch_tokens: tokens per batch of a local LLM.
        adapter: a folder with a LoRA adapter for a local LLM.
    """
    return RememberingChat(
        functools.partial(open_chat, config, device=device, batch_tokens=batch_tokens, adapter=adapter),
        memory,
        identity=identity,
        temperature=config.temperature,
        max_tokens=config.max_new_tokens,
    )
