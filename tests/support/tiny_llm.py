"""A tiny, randomly initialised causal language model with a chat template, so that unit tests generate for real."""

from pathlib import Path

import torch
from support.tiny_model import _tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}> {{ message.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system messages') }}{% endif %}" + TEMPLATE


def write_tiny_llm(
    folder: Path,
    *,
    seed: int = 0,
    template: str | None = TEMPLATE,
    positions: int = 128,
    deviation: float = 0.02,
) -> Path:
    """Write the model folder and return it. Same arguments, same bytes.

    With a large `deviation` of the weights, an adapter between the embeddings can change what is said.
    """
    tokenizer = _tokenizer(["red green blue one two three"], max_tokens=positions)
    tokenizer.chat_template = template
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=positions,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=deviation,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
