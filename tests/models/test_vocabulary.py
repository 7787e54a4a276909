"""Training on the narrowed vocabulary and widening it again gives what training on the full one gives, bit by bit."""

import copy

import pytest
import torch
from support.tiny_model import write_tiny_encoder
from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel

from tasks.models.encoder import Encoder
from tasks.models.word_embeddings import narrow_vocabulary, widen_vocabulary

USED = [0, 2, 5, 17, 40, 41]
IDS_BT = torch.tensor([[0, 5, 17, 2], [0, 40, 41, 2], [0, 41, 2, 1]])
ATTENTION_BT = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]])


def _bert(config_class=BertConfig, model_class=BertModel, *, pad_id=1):
    torch.manual_seed(5)
    config = config_class(
        vocab_size=61,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=20,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=pad_id,
    )
    return model_class(config, add_pooling_layer=False)


def _train(model, ids_BT):
    embedding = model.get_input_embeddings().weight
    others = [weight for weight in model.parameters() if weight is not embedding]
    groups = [{"params": others, "weight_decay": 0.01}, {"params": [embedding], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        hidden_BTD = model(input_ids=ids_BT, attention_mask=ATTENTION_BT).last_hidden_state
        (hidden_BTD * torch.linspace(-1, 1, 16)).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", [(BertConfig, BertModel), (XLMRobertaConfig, XLMRobertaModel)])
def test_narrowed_training_equals_full_training_bit_by_bit(kind):
    full = _bert(*kind)
    narrow = copy.deepcopy(full)
    _train(full, IDS_BT)
    original = narrow.get_input_embeddings().weight.detach()
    new_id = narrow_vocabulary(narrow, USED)
    _train(narrow, new_id[IDS_BT])
    widen_vocabulary(narrow, USED, original)
    assert narrow.state_dict().keys() == full.state_dict().keys()
    for name, weight in full.state_dict().items():
        assert torch.equal(narrow.state_dict()[name], weight), name
    assert not torch.equal(full.get_input_embeddings().weight[5], original[5])  # it has learned something


def test_narrow_maps_used_ids_in_order_and_keeps_padding_where_it_was():
    model = _bert()
    original = model.get_input_embeddings().weight.detach()
    new_id = narrow_vocabulary(model, reversed([*USED, 5]))
    assert {old: new_id[old].item() for old in [*USED, 1]} == {0: 0, 1: 1, 2: 2, 5: 3, 17: 4, 40: 5, 41: 6}
    assert (new_id >= 0).sum() == 7
    assert torch.equal(model.get_input_embeddings().weight, original[[0, 1, 2, 5, 17, 40, 41]])
    assert model.get_input_embeddings().padding_idx == 1


def test_narrow_puts_a_high_padding_id_last():
    model = _bert(pad_id=60)
    new_id = narrow_vocabulary(model, [3, 9])
    assert new_id[[3, 9, 60]].tolist() == [0, 1, 2]


def test_widen_leaves_original_weight_and_unused_rows_alone():
    model = _bert()
    original = model.get_input_embeddings().weight.detach()
    before = original.clone()
    narrow_vocabulary(model, USED)
    with torch.no_grad():
        model.get_input_embeddings().weight += 1.0
    widen_vocabulary(model, USED, original)
    changed = (model.get_input_embeddings().weight != before).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [0, 1, 2, 5, 17, 40, 41]
    assert torch.equal(original, before)


def test_narrowed_encoder_gives_same_vectors(tmp_path):
    encoder = Encoder.load(write_tiny_encoder(tmp_path / "model", texts=["one two three"]), device="cpu")
    ids = encoder.tokenize(["one three"], role="query", max_tokens=16)
    ids_BT, attention_BT = torch.tensor(ids), torch.ones(1, len(ids[0]), dtype=torch.int64)
    expected_BD = encoder(ids_BT, attention_BT)
    new_id = narrow_vocabulary(encoder.backbone, ids[0])
    assert torch.equal(encoder(new_id[ids_BT], attention_BT), expected_BD)


def test_narrow_rejects_ids_outside_the_vocabulary():
    with pytest.raises(ValueError, match=r"used_ids: expected ids in 0..60, got \[61, 99\]"):
        narrow_vocabulary(_bert(), [3, 99, 61])


def test_widen_rejects_other_used_ids():
    model = _bert()
    original = model.get_input_embeddings().weight.detach()
    narrow_vocabulary(model, USED)
    with pytest.raises(ValueError, match="expected an embedding of 3 rows, got 7"):
        widen_vocabulary(model, [3, 4], original)
