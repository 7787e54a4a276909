"""Tune a causal language model on conversations with LoRA. Shapes: B conversations of a step, T tokens."""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

try:
    import peft
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "supplement.tune: expected the package peft for instruction tuning, got none. Install polyloom[llm], or leave "
        "supplement.tune.instructions empty."
    ) from error

_IGNORED = -100  # the label of tokens that are not learned
_WARMUP = 0.1  # share of the steps
_RANK = 16
_ALPHA = 32  # the adapter's weight is alpha / rank

LOG = pl.Schema(
    {"step": pl.Int32, "epoch": pl.Int32, "loss": pl.Float32, "learning_rate": pl.Float32, "num_tokens": pl.Int32}
)

Message = Mapping[str, str]
Conversation = tuple[Message, ...]
"""Messages of the roles system, user and assistant; the last is the assistant's, which is learned."""
Example = tuple[list[int], int]
"""The tokens of a conversation, and how many of them come before the answer."""


def tokenize_conversations(conversations: Sequence[Conversation], tokenizer: Any, *, max_tokens: int) -> list[Example]:
    """Turn conversations into tokens by the model's own chat template.

    Raises:
        ValueError: a conversation is too long, or the template does not put the answer last.
    """
    examples = []
    for number, conversation in enumerate(conversations, start=1):
        whole = _tokens(tokenizer, conversation, prompt=False)
        before = _tokens(tokenizer, conversation[:-1], prompt=True)
        if len(whole) > max_tokens:
            raise ValueError(
                f"supplement.tune: expected conversations of at most {max_tokens} tokens, got {len(whole)} in "
                f"conversation {number}. Shorten it."
            )
        if whole[: len(before)] != before or len(whole) == len(before):
            raise ValueError(
                f"supplement.tune: expected a chat template that puts the answer last, got another one in conversation "
                f"{number}. Choose another model."
            )
        examples.append((whole, len(before)))
    return examples


def _tokens(tokenizer: Any, messages: Conversation, *, prompt: bool) -> list[int]:
    text = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=prompt)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def tune(
    network: Any,
    examples: Sequence[Example],
    *,
    learning_rate: float,
    num_epochs: int,
    batch_size: int,
    seed: int,
    progress: Callable[[int], None],
) -> tuple[Any, list[dict[str, float | int]]]:
    """Train a LoRA adapter on all linear layers; the network's own weights stay as they are.

    Loss: cross-entropy of the answers' tokens, each answer token of a step weighing the same. AdamW, linear warm-up and
    decay. Everything drawn at random follows from the seed; the global random state is left as it was.

    Args:
        network: the causal language model, on its device.
        examples: what `tokenize_conversations` returns.
        learning_rate: at its peak.
        num_epochs: passes.
        batch_size: conversations per step.
        seed: decides adapter and order.
        progress: is told how many steps are newly done.

    Returns:
        The network with its adapter; a row per step: step, epoch, loss, learning_rate, num_tokens (learned).

    Raises:
        RuntimeError: the loss is no number any more.

    Source: LoRA, arXiv 2106.09685.
    """
    num_steps = count_steps(len(examples), batch_size, num_epochs)
    rows: list[dict[str, float | int]] = []
    with torch.random.fork_rng(devices=[network.device] if network.device.type == "cuda" else []):
        torch.manual_seed(seed)
        adapted = _with_adapter(network)
        weights = [weight for weight in adapted.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.0)
        for step, (epoch, batch) in enumerate(_batches(examples, batch_size, num_epochs)):
            rate = learning_rate * _rate(step, num_steps)
            optimizer.param_groups[0]["lr"] = rate
            loss, num_tokens = _loss(adapted, batch)
            _step(optimizer, weights, loss, step)
            values = {"loss": float(loss.detach()), "learning_rate": rate, "num_tokens": num_tokens}
            rows.append({"step": step, "epoch": epoch, **values})
            progress(1)
    adapted.eval()
    return adapted, rows


def _with_adapter(network: Any) -> Any:
    settings = peft.LoraConfig(r=_RANK, lora_alpha=_ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():  # peft still asks transformers by an older name
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
        return peft.get_peft_model(network, settings).train()


def _batches(examples: Sequence[Example], size: int, num_epochs: int) -> Iterator[tuple[int, list[Example]]]:
    for epoch in range(num_epochs):
        order = torch.randperm(len(examples)).tolist()
        for start in range(0, len(order), size):
            yield epoch, [examples[place] for place in order[start : start + size]]


def _step(optimizer: torch.optim.Optimizer, weights: list[Tensor], loss: Tensor, step: int) -> None:
    if not torch.isfinite(loss):
        raise RuntimeError(
            f"supplement.tune: expected a finite loss, got {float(loss.detach())} at step {step}. Lower "
            "supplement.tune.learning_rate."
        )
    loss.backward()  # type: ignore[no-untyped-call]  # torch declares no types here
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
    optimizer.zero_grad()


def count_steps(num_examples: int, batch_size: int, num_epochs: int) -> int:
    """Count the steps of a tuning; the last batch of an epoch may be smaller."""
    return math.ceil(num_examples / batch_size) * num_epochs


def save_adapter(adapted: Any, folder: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors, which say nothing of where the base model lies."""
    for settings in adapted.peft_config.values():
        settings.base_model_name_or_path = ""  # peft fills in None
        settings.target_modules = sorted(settings.target_modules)  # a set: its order would differ from run to run
        settings.inference_mode = True
    adapted.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)


def _rate(step: int, num_steps: int) -> float:
    warmup = max(1, round(_WARMUP * num_steps))
    return min((step + 1) / warmup, (num_steps - step) / max(1, num_steps - warmup))


def _loss(network: Any, batch: Sequence[Example]) -> tuple[Tensor, int]:
    longest = max(len(tokens) for tokens, _ in batch)
    token_BT = torch.zeros(len(batch), longest, dtype=torch.long)
    mask_BT = torch.zeros_like(token_BT)
    label_BT = torch.full_like(token_BT, _IGNORED)
    for row, (tokens, num_before) in enumerate(batch):
        token_BT[row, : len(tokens)] = torch.tensor(tokens)
        mask_BT[row, : len(tokens)] = 1
        label_BT[row, num_before : len(tokens)] = torch.tensor(tokens[num_before:])
    device = network.device
    logits = network(input_ids=token_BT.to(device), attention_mask=mask_BT.to(device)).logits
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), label_BT[:, 1:].flatten().to(device), ignore_index=_IGNORED
    )
    return loss, int((label_BT[:, 1:] != _IGNORED).sum())
