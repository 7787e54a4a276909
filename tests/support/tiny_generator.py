"""A tiny, randomly initialised Llama with a chat template, so that tests of tuning and generation run real networks."""

from pathlib import Path

import torch
from support.tiny_model import _tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

TEMPLATE = (
    "{% for message in messages %}<s>{{ message['role'] }}: {{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant: {% endif %}"
)


def write_tiny_generator(folder: Path, *, seed: int = 0, max_tokens: int = 2048) -> Path:
    """Write the model folder and return it. Same arguments, same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer([TEMPLATE], max_tokens=max_tokens)
    tokenizer.chat_template = TEMPLATE
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=max_tokens,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.2,  # large, so that an adapter between the embeddings can say something
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
