"""LoRA on a tiny network: the loss falls, the base stays, the seed decides."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.answer_loss import answer_loss
from support.tiny_llm import write_tiny_llm
from transformers import AutoModelForCausalLM, AutoTokenizer

from tasks.supplement import lora

CONVERSATIONS = [
    ({"role": "user", "content": f"Say {word}."}, {"role": "assistant", "content": word * 3})
    for word in ("abc", "xyz", "talo", "mji", "река")
]
SETTINGS = {
    "learning_rate": 2e-2,
    "num_epochs": 4,
    "batch_size": 2,
    "seed": 0,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llm(tmp_path_factory.mktemp("generator"), positions=512, deviation=0.3)


def network(base: Path):
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


def examples(base: Path, conversations=CONVERSATIONS, max_tokens=200):
    return lora.tokenize_conversations(conversations, AutoTokenizer.from_pretrained(base), max_tokens=max_tokens)


def tuned(base: Path, **changed):
    return lora.tune(network(base), examples(base), progress=lambda done: None, **SETTINGS | changed)


def test_answer_alone_is_learned(base: Path):
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokens, before = examples(base)[0]
    assert tokenizer.decode(tokens[:before], skip_special_tokens=True).split() == [
        "<user>",
        "Say",
        "abc.",
        "<assistant>",
    ]
    assert tokenizer.decode(tokens[before:], skip_special_tokens=True).strip() == "abcabcabc"


def test_tuning_lowers_the_loss_and_logs_every_step(base: Path):
    own = examples(base)
    before = answer_loss(network(base), own)
    adapted, rows = tuned(base)
    assert [row["step"] for row in rows] == list(range(12))
    assert [row["epoch"] for row in rows] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert sum(row["num_tokens"] for row in rows[:3]) == sum(len(tokens) - start for tokens, start in own)
    assert answer_loss(adapted, own) < 0.8 * before


def test_first_loss_is_that_of_the_untuned_network(base: Path):
    _, rows = tuned(base, batch_size=5)
    assert rows[0]["loss"] == pytest.approx(answer_loss(network(base), examples(base)), abs=1e-5)


def test_base_weights_stay_as_they_are(base: Path):
    adapted, _ = tuned(base, num_epochs=1)
    own = dict(network(base).named_parameters())
    for name, value in adapted.named_parameters():
        if "lora_" not in name:
            plain = name.removeprefix("base_model.model.").replace(".base_layer", "")
            assert torch.equal(value, own[plain]), name


def test_same_seed_gives_the_same_bytes_and_another_others(base: Path, tmp_path: Path):
    torch.manual_seed(1)
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        adapted, _ = tuned(base, num_epochs=1, seed=seed)
        lora.save_adapter(adapted, tmp_path / name)
        torch.rand(3)
    files = {name: (tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("one", "two", "three")}
    assert files["one"] == files["two"] != files["three"]
    assert (tmp_path / "one" / "adapter_config.json").read_text() == (
        tmp_path / "two" / "adapter_config.json"
    ).read_text()


def test_tuning_leaves_the_global_random_state_alone(base: Path):
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    tuned(base, num_epochs=1)
    assert torch.equal(torch.rand(2), expected)


def test_adapter_says_nothing_of_this_machine(base: Path, tmp_path: Path):
    adapted, _ = tuned(base, num_epochs=1)
    lora.save_adapter(adapted, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert str(base) not in (tmp_path / "adapter_config.json").read_text()
    assert all("lora_" in name for name in load_file(tmp_path / "adapter_model.safetensors"))


def test_adapter_loads_into_the_plain_network(base: Path, tmp_path: Path):
    adapted, _ = tuned(base)
    lora.save_adapter(adapted, tmp_path)
    plain = network(base)
    plain.load_adapter(str(tmp_path))
    plain.eval()
    own = examples(base)
    assert answer_loss(plain, own) == pytest.approx(answer_loss(adapted, own), abs=1e-5)


@pytest.mark.parametrize(("num_examples", "batch_size", "steps"), [(5, 2, 12), (4, 2, 8), (1, 8, 4)])
def test_steps_are_counted_with_the_smaller_last_batch(num_examples, batch_size, steps):
    assert lora.count_steps(num_examples, batch_size, 4) == steps


def test_conversation_that_is_too_long_is_an_error(base: Path):
    with pytest.raises(ValueError, match=r"at most 20 tokens, got \d+ in conversation 1"):
        examples(base, max_tokens=20)


def test_template_that_does_not_end_with_the_answer_is_an_error(base: Path):
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = "{% for message in messages | reverse %}{{ message['content'] }}{% endfor %}"
    with pytest.raises(
        ValueError, match="a chat template that puts the answer last, got another one in conversation 1"
    ):
        lora.tokenize_conversations(CONVERSATIONS, tokenizer, max_tokens=100)


def test_diverged_loss_is_an_error(base: Path):
    broken = network(base)
    with torch.no_grad():
        broken.lm_head.weight.fill_(float("inf"))
    with pytest.raises(RuntimeError, match="expected a finite loss, got nan at step 0"):
        lora.tune(broken, examples(base), progress=lambda done: None, **SETTINGS)


def test_import_names_the_extra_when_peft_is_missing(monkeypatch: pytest.MonkeyPatch):
    name = "tasks.supplement.lora"
    monkeypatch.setitem(sys.modules, "peft", None)
    monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError, match=r"expected the package peft .* Install polyloom\[llm\]"):
        importlib.import_module(name)
