"""Networks whose word embeddings stay in the file give the same bytes as those that are loaded whole."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.tiny_model import write_tiny_encoder
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BertConfig,
    BertModel,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

from tasks.models.backbone import load_backbone, load_backbone_for_inference, load_with_stored_rows
from tasks.models.bundled import write_bundled_encoder
from tasks.models.encoder import Encoder, forget_encoder, shared_encoder
from tasks.models.layout import write_layout
from tasks.models.locate import locate_model
from tasks.models.word_embeddings import StoredRows, find_word_embeddings

TEXTS = ["the capital of France", "Paris", "", "a much longer text about Paris and the Seine " * 8]
_SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
_TYPES = [torch.float32, torch.float16, torch.bfloat16]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_encoder(tmp_path_factory.mktemp("stored") / "model", texts=TEXTS)


def _padded_ids(padding):
    ids_BT = torch.randint(4, 50, (3, 12), generator=torch.Generator().manual_seed(0))
    ids_BT[0, 7:] = padding
    return {"input_ids": ids_BT, "attention_mask": (ids_BT != padding).long()}


@pytest.mark.parametrize(("pooling", "dtype"), [("mean", "float32"), ("cls", "float32"), ("mean", "float16")])
def test_shared_encoder_gives_the_bytes_of_the_whole_one(tmp_path, pooling, dtype):
    write_tiny_encoder(tmp_path / "model", texts=TEXTS, pooling=pooling)
    whole = Encoder.load(tmp_path / "model", device="cpu", dtype=getattr(torch, dtype))
    stored = shared_encoder(tmp_path / "model", "cpu", dtype)
    assert isinstance(stored.backbone.get_input_embeddings(), StoredRows)
    asked = {"role": "query", "max_tokens": 32, "batch_tokens": 64}
    np.testing.assert_array_equal(stored.embed(TEXTS, **asked), whole.embed(TEXTS, **asked))
    forget_encoder()


@pytest.mark.parametrize("file_dtype", _TYPES)
@pytest.mark.parametrize("dtype", _TYPES)
@pytest.mark.parametrize(
    ("config", "network"), [(BertConfig, BertModel), (RobertaConfig, RobertaModel)], ids=["bert", "roberta"]
)
def test_stored_rows_in_a_backbone_compute_the_same_in_every_type(tmp_path, config, network, file_dtype, dtype):
    network(config(**_SIZES, pad_token_id=1)).to(file_dtype).save_pretrained(tmp_path)
    whole, stored = load_backbone(tmp_path, dtype=dtype), load_backbone_for_inference(tmp_path, dtype=dtype)
    assert stored.config.to_dict() == whole.config.to_dict()
    assert (stored.dtype, stored.training, stored.pooler) == (dtype, False, None)
    with torch.inference_mode():  # positions of RoBERTa are counted from the padding's id
        assert torch.equal(stored(**_padded_ids(1))[0], whole(**_padded_ids(1))[0])


def test_stored_rows_in_a_classifier_compute_the_same(tmp_path):
    XLMRobertaForSequenceClassification(XLMRobertaConfig(**_SIZES, num_labels=1)).save_pretrained(tmp_path)
    auto, config = AutoModelForSequenceClassification, AutoConfig.from_pretrained(tmp_path)
    stored, missing = load_with_stored_rows(auto, tmp_path, config, dtype=torch.float32)
    whole = auto.from_pretrained(tmp_path)
    assert missing == set()
    assert isinstance(stored.get_input_embeddings(), StoredRows)
    with torch.inference_mode():
        assert torch.equal(stored(**_padded_ids(1)).logits, whole(**_padded_ids(1)).logits)


@pytest.mark.slow
def test_bundled_encoder_gives_the_bytes_of_the_whole_one(tmp_path):
    write_bundled_encoder(locate_model("bundled:multilingual-e5-small"), tmp_path, num_layers=2)
    write_layout(tmp_path, hidden_size=384, max_tokens=512, pooling="mean", query_prompt="", document_prompt="")
    whole, stored = Encoder.load(tmp_path, device="cpu"), Encoder.load_for_inference(tmp_path, device="cpu")
    asked = {"role": "document", "max_tokens": 32, "batch_tokens": 128}
    np.testing.assert_array_equal(stored.embed(TEXTS, **asked), whole.embed(TEXTS, **asked))


def test_the_matrix_is_in_no_parameter_or_buffer(folder):
    whole, stored = load_backbone(folder), load_backbone_for_inference(folder, dtype=torch.float32)
    matrix = whole.get_input_embeddings().weight
    held = sum(weight.numel() for weight in [*stored.parameters(), *stored.buffers()])
    assert held == sum(weight.numel() for weight in [*whole.parameters(), *whole.buffers()]) - matrix.numel()
    assert all(weight.device.type == "cpu" for weight in [*stored.parameters(), *stored.buffers()])


def test_stored_rows_are_those_of_the_matrix_in_any_shape_and_order(folder):
    rows = load_backbone_for_inference(folder, dtype=torch.float32).get_input_embeddings()
    weight = load_backbone(folder).get_input_embeddings().weight
    last = len(weight) - 1
    for ids in ([[last, 0, 7], [7, 7, 1]], [5], []):
        ids = torch.tensor(ids, dtype=torch.int64)
        assert torch.equal(rows(ids), weight[ids])


@pytest.mark.parametrize("wrong", [-1, 10_000])
def test_stored_rows_reject_ids_beyond_the_vocabulary(folder, wrong):
    rows = load_backbone_for_inference(folder, dtype=torch.float32).get_input_embeddings()
    with pytest.raises(IndexError, match=r"model.safetensors: expected token ids in 0..\d+, got"):
        rows(torch.tensor([3, wrong]))


def test_stored_rows_notice_a_file_cut_short(folder, tmp_path):
    encoder = Encoder.load(folder, device="cpu")
    encoder.save(tmp_path / "model")
    stored = load_backbone_for_inference(tmp_path / "model", dtype=torch.float32)
    file = tmp_path / "model" / "model.safetensors"
    rows = stored.get_input_embeddings()
    with file.open("r+b") as data:
        data.truncate(rows.matrix.offset + 10)
    with pytest.raises(OSError, match="The file is incomplete"):
        rows(torch.tensor([3]))


def test_an_encoder_with_stored_rows_refuses_to_be_saved(folder, tmp_path):
    stored = Encoder.load_for_inference(folder, device="cpu")
    with pytest.raises(ValueError, match="StoredRows: expected a network loaded whole to save or train"):
        stored.save(tmp_path / "model")


def test_a_file_with_its_weights_under_other_names_is_loaded_whole(folder, tmp_path):
    config = AutoConfig.from_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    doubled = weights | {f"bert.{name}": weights[name].clone()}
    save_file(doubled, tmp_path / "doubled.safetensors")
    save_file(weights | {name: weights[name][:-1].clone()}, tmp_path / "short.safetensors")
    save_file({other: weight for other, weight in weights.items() if other != name}, tmp_path / "without.safetensors")
    assert find_word_embeddings(folder / "model.safetensors", "bert", config).name == name
    for other in ("doubled", "short", "without", "missing"):
        assert find_word_embeddings(tmp_path / f"{other}.safetensors", "bert", config) is None


def test_weights_in_several_files_are_loaded_whole(folder, tmp_path):
    AutoModel.from_pretrained(folder).save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    loaded = load_backbone_for_inference(tmp_path, dtype=torch.float32)
    assert torch.equal(loaded.get_input_embeddings().weight, load_backbone(folder).get_input_embeddings().weight)


def test_another_architecture_is_loaded_whole(tmp_path):
    config = AutoConfig.for_model("electra", **_SIZES, embedding_size=16)
    AutoModel.from_config(config).save_pretrained(tmp_path)
    loaded = load_backbone_for_inference(tmp_path, dtype=torch.float32)
    assert isinstance(loaded.get_input_embeddings(), torch.nn.Embedding)


def test_missing_weights_are_named(folder, tmp_path):
    AutoModel.from_pretrained(folder).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer.0.output.dense.bias"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"got none for \['encoder.layer.0.output.dense.bias'\]"):
        load_backbone_for_inference(tmp_path, dtype=torch.float32)
