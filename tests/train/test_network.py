from dataclasses import replace

import pytest
from support.tiny_training import CONFIG, tiny_encoder
from transformers import PreTrainedModel

from tasks.train.network import Network


@pytest.mark.parametrize("verb", ["enable", "disable"])
def test_switches_checkpointing_by_the_name_that_transformers_has(tmp_path, monkeypatch, verb):
    """The names before transformers 5.20: a machine with a GPU may have it."""
    encoder = tiny_encoder(tmp_path / "encoder")
    asked = []
    monkeypatch.delattr(PreTrainedModel, f"activation_checkpointing_{verb}")
    monkeypatch.setattr(encoder.backbone, f"gradient_checkpointing_{verb}", lambda: asked.append(verb), raising=False)
    network = Network(encoder, replace(CONFIG, gradient_checkpointing=True), None)
    network.begin_training() if verb == "enable" else network.end_training()
    assert asked == [verb]
