"""Loading and saving networks of several architectures."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.tiny_model import write_tiny_encoder
from transformers import AutoModel

from tasks.models.backbone import load_backbone, save_backbone


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_encoder(tmp_path_factory.mktemp("backbone") / "model", layers=3)


def test_backbone_loads_without_pooler_in_eval_mode(folder):
    backbone = load_backbone(folder)
    assert backbone.pooler is None
    assert not backbone.training
    assert backbone.dtype == torch.float32


def test_backbone_keeps_first_layers_only(folder, tmp_path):
    save_backbone(load_backbone(folder, num_layers=2), tmp_path)
    cut, whole = load_file(tmp_path / "model.safetensors"), load_file(folder / "model.safetensors")
    assert load_backbone(tmp_path).config.num_hidden_layers == 2
    assert {name for name in whole if name not in cut} == {name for name in whole if ".layer.2." in name}
    assert all(torch.equal(cut[name], whole[name]) for name in whole if name in cut)


def test_backbone_saves_identity_where_auto_model_expects_a_pooler(folder, tmp_path):
    save_backbone(load_backbone(folder), tmp_path)
    pooler = AutoModel.from_pretrained(tmp_path).pooler.dense
    assert torch.equal(pooler.weight, torch.eye(32))
    assert torch.equal(pooler.bias, torch.zeros(32))


def test_backbone_keeps_type_of_the_file_when_asked(folder, tmp_path):
    save_backbone(load_backbone(folder).half(), tmp_path)
    assert load_backbone(tmp_path, dtype=None).dtype == torch.float16
    assert load_backbone(tmp_path).dtype == torch.float32


@pytest.mark.parametrize("num_layers", [0, 4])
def test_backbone_rejects_layers_it_has_not(folder, num_layers):
    with pytest.raises(ValueError, match=rf"expected num_layers in 1..3, got {num_layers}"):
        load_backbone(folder, num_layers=num_layers)


def test_backbone_rejects_incomplete_weights(folder, tmp_path):
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(
        ValueError, match=r"expected weights for every part of BertModel, got none for \['encoder.layer.1"
    ):
        load_backbone(tmp_path)
