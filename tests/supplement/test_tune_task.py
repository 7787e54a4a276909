"""The tuning as a step: what is in its fingerprint, a run that is killed, the adapter in the local client."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support.loom import SURROUNDINGS
from support.tiny_llm import write_tiny_llm

import storage
from tasks.engine.build import build
from tasks.engine.step import Promise
from tasks.models.chat import Request
from tasks.models.chat.client import chat_digest, open_chat
from tasks.models.chat.config import ChatConfig
from tasks.steps import tune_generator
from tasks.supplement import lora
from tasks.supplement.config import TuneConfig

WORDS = ("abc", "xyz", "talo", "katu", "mji", "njia", "река", "дом", "東京", "大阪")
LINES = [{"instruction": f"Say {word}.", "output": word * 3} for word in WORDS]
CONFIG = TuneConfig(learning_rate=2e-2, num_epochs=9)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model and a file of instructions."""
    folder = tmp_path_factory.mktemp("tuning")
    write_tiny_llm(folder / "model", positions=512, deviation=0.3)
    (folder / "instructions.jsonl").write_text("\n".join(json.dumps(line) for line in LINES), encoding="utf-8")
    return folder


def step(folder: Path, **changed) -> Promise:
    config = CONFIG.model_copy(update={"instructions": str(folder / "instructions.jsonl")} | changed)
    return tune_generator(
        chat=ChatConfig(client="local", model=str(folder / "model")),
        identity=chat_digest(str(folder / "model")),
        instructions=storage.file_digest(folder / "instructions.jsonl"),
        config=config,
    )


@pytest.fixture(scope="module")
def store(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = str(tmp_path_factory.mktemp("store"))
    build(step(folder), root, SURROUNDINGS)
    return root


def test_tuning_writes_a_row_per_step_and_the_adapter(folder: Path, store: str):
    log = storage.read(step(folder).ref(store))
    assert log["step"].to_list() == list(range(18))
    assert log["loss"][-3:].mean() < log["loss"][:3].mean()
    files = storage.folder(step(folder).ref(store)) / "adapter"
    assert (files / "adapter_model.safetensors").is_file()
    assert (files / "adapter_config.json").is_file()


def test_same_bytes_in_another_place_are_the_same_step(folder: Path, tmp_path: Path):
    write_tiny_llm(tmp_path / "model", positions=512, deviation=0.3)
    (tmp_path / "instructions.jsonl").write_bytes((folder / "instructions.jsonl").read_bytes())
    assert step(tmp_path).fingerprint == step(folder).fingerprint


def test_other_model_instructions_and_settings_are_other_steps(folder: Path, tmp_path: Path):
    write_tiny_llm(tmp_path / "model", positions=512, deviation=0.3, seed=1)
    (tmp_path / "instructions.jsonl").write_bytes((folder / "instructions.jsonl").read_bytes())
    names = {step(folder).fingerprint, step(tmp_path).fingerprint, step(folder, num_epochs=8).fingerprint}
    (tmp_path / "instructions.jsonl").write_text(json.dumps(LINES[0]), encoding="utf-8")
    assert len(names | {step(tmp_path).fingerprint}) == 4


def test_killed_tuning_starts_anew_and_ends_like_an_undisturbed_one(
    folder: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    original = lora.save_adapter

    def killed(adapted, target: Path) -> None:
        target.mkdir()
        (target / "half").write_bytes(b"written")
        raise KeyboardInterrupt("stop")

    monkeypatch.setattr(lora, "save_adapter", killed)
    with pytest.raises(KeyboardInterrupt, match="stop"):
        build(step(folder), str(tmp_path), SURROUNDINGS)
    monkeypatch.setattr(lora, "save_adapter", original)
    manifest, _ = build(step(folder), str(tmp_path), SURROUNDINGS)
    assert manifest.content == storage.load(step(folder).ref(store)).content


def test_adapter_changes_what_the_local_client_says(folder: Path, store: str):
    config = ChatConfig(client="local", model=str(folder / "model"), temperature=0.0, max_new_tokens=12)
    adapter = storage.folder(step(folder).ref(store)) / "adapter"
    question = [Request("Answer.", "Say abc.", 0)]
    said = []
    for place in (None, adapter, adapter):
        model = open_chat(config, device="cpu", batch_tokens=1024, adapter=place)
        said.append([reply.text for _, reply in model.complete(question)])
    assert said[0] != said[1] == said[2]
