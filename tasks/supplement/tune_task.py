"""Instruction tuning of the generator: a local language model and a file of instructions -> a LoRA adapter."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tasks.engine.job import Job
from tasks.models.chat import client as clients
from tasks.models.chat import local
from tasks.models.chat.config import ChatConfig
from tasks.supplement import lora
from tasks.supplement.config import TuneConfig
from tasks.supplement.lora import Conversation, Message

BATCH_SIZE = 8
MAX_TOKENS = 1024
"""Of a conversation; a longer one is an error."""

_ROLES = ("system", "user", "assistant")
_PLAIN = {"instruction", "output"}
_FORMS = 'either {"instruction", "output"} with an optional "input", or {"messages": [{"role", "content"}, …]}'


def tune_generator(job: Job, *, chat: ChatConfig, identity: str, instructions: str, config: TuneConfig) -> None:
    """Tune the generator on instructions; the adapter lies beside the log. A killed run starts anew.

    `identity` and `instructions` are digests of the model and the file: what the fingerprint knows of them.
    """
    conversations = read_instructions(Path(config.instructions))
    place = clients.locate_chat_model(chat.model)
    network, tokenizer = local.load_chat_model(place, device=job.device, dtype=chat.dtype)
    examples = lora.tokenize_conversations(conversations, tokenizer, max_tokens=MAX_TOKENS)
    with job.bar(lora.count_steps(len(examples), BATCH_SIZE, config.num_epochs), "steps") as advance:
        adapted, rows = lora.tune(
            network,
            examples,
            learning_rate=config.learning_rate,
            num_epochs=config.num_epochs,
            batch_size=BATCH_SIZE,
            seed=0,
            progress=advance,
        )
    target = job.scratch / "adapter"
    shutil.rmtree(target, ignore_errors=True)
    lora.save_adapter(adapted, target)
    job.out.write(pl.DataFrame(rows, schema=lora.LOG))
    job.out.add_folder(target, "adapter")


def read_instructions(path: Path) -> list[Conversation]:
    """Read a file of instructions, a JSON object per line; empty lines are passed over, other fields too.

    `{"instruction": …, "input": …, "output": …}` becomes a user's message, instruction and input with an empty line
    between, and the assistant's answer. `{"messages": [{"role": …, "content": …}, …]}` is taken as it stands.

    Raises:
        ValueError: a line is none of the two, or there is no line at all; names file and line.
    """
    content = path.read_bytes()
    conversations = [
        _conversation(line, f"{path}, line {number}")
        for number, line in enumerate(content.splitlines(), start=1)
        if line.strip()
    ]
    if not conversations:
        raise ValueError(f"{path}: expected a conversation per line, got no line. Write {_FORMS}.")
    return conversations


def _conversation(line: bytes, where: str) -> Conversation:
    try:
        row = json.loads(line.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{where}: expected a JSON object in UTF-8, got {error}. Mend the line.") from error
    if isinstance(row, dict) and isinstance(row.get("messages"), list):
        return _messages(row["messages"], where)
    if isinstance(row, dict) and row.keys() >= _PLAIN:
        return _plain(row, where)
    got = f"the fields {sorted(row)}" if isinstance(row, dict) else type(row).__name__
    raise ValueError(f"{where}: expected {_FORMS}, got {got}. Mend the line.")


def _plain(row: Mapping[str, Any], where: str) -> Conversation:
    instruction, output = _text(row["instruction"], "instruction", where), _text(row["output"], "output", where)
    asked = [instruction, *([_text(row["input"], "input", where)] if row.get("input") else [])]
    return ({"role": "user", "content": "\n\n".join(asked)}, {"role": "assistant", "content": output})


def _messages(rows: Iterable[Any], where: str) -> Conversation:
    messages: list[Message] = []
    for number, row in enumerate(rows):
        role = row.get("role") if isinstance(row, dict) else None
        if role not in _ROLES:
            raise ValueError(
                f"{where}: expected a role of {', '.join(_ROLES)} in message {number}, got {role!r}. Mend the line."
            )
        messages.append({"role": role, "content": _text(row.get("content"), f"messages.{number}.content", where)})
    roles = [message["role"] for message in messages]
    if len(roles) < 2 or roles[-1] != "assistant":
        raise ValueError(
            f"{where}: expected messages that end with the assistant's answer, got the roles {roles}. Mend the line."
        )
    return tuple(messages)


def _text(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{where}: expected a text in '{name}', got {value!r}. Mend the line.")
    return value
