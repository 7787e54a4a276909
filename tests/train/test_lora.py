import copy
from dataclasses import replace

import peft
import pytest
import torch
from support.tiny_training import plan, run_training, tiny_encoder
from torch import nn

from tasks.train.lora import LowRankLinear, add_adapters, merge_adapters


def test_training_with_adapters_changes_linear_layers_alone(tmp_path):
    before = {name: p.detach().clone() for name, p in tiny_encoder(tmp_path / "encoder").named_parameters()}
    steps = [replace(plan()[0], step=number) for number in range(10)]
    encoder, log = run_training(tmp_path, steps=steps, lora_rank=4, learning_rate=0.01)
    after = dict(encoder.named_parameters())
    assert after.keys() == before.keys()  # merged: a plain encoder again
    linear = {f"{name}.weight" for name, part in encoder.named_modules() if isinstance(part, nn.Linear)}
    assert {name for name in before if not torch.equal(before[name], after[name])} == linear
    for name in linear:
        assert torch.linalg.matrix_rank(after[name] - before[name], tol=1e-5) <= 4
    assert log[-1].loss < 0.8 * log[0].loss


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # read by peft
def test_adapters_equal_peft(tmp_path):
    ours = tiny_encoder(tmp_path / "encoder").backbone.train(False)
    theirs = peft.get_peft_model(
        copy.deepcopy(ours), peft.LoraConfig(r=3, lora_alpha=16, target_modules="all-linear", lora_dropout=0.0)
    )
    add_adapters(ours, rank=3, seed=1)
    named = dict(theirs.named_modules())
    for name, part in ours.named_modules():
        if isinstance(part, LowRankLinear):
            with torch.no_grad():
                part.up.normal_(generator=torch.Generator().manual_seed(len(name)))
                named[f"base_model.model.{name}"].lora_A["default"].weight.copy_(part.down)
                named[f"base_model.model.{name}"].lora_B["default"].weight.copy_(part.up)
    ids, attention = torch.tensor([[3, 4, 5, 6]]), torch.ones(1, 4, dtype=torch.int64)

    def outputs(network):
        return network(input_ids=ids, attention_mask=attention).last_hidden_state

    torch.testing.assert_close(outputs(ours), outputs(theirs), rtol=1e-4, atol=1e-5)
    outputs(ours).sum().backward()
    outputs(theirs).sum().backward()
    for name, part in ours.named_modules():
        if isinstance(part, LowRankLinear):
            peer = named[f"base_model.model.{name}"]
            torch.testing.assert_close(part.down.grad, peer.lora_A["default"].weight.grad, rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(part.up.grad, peer.lora_B["default"].weight.grad, rtol=1e-3, atol=1e-4)
    trained = outputs(ours).detach()
    merge_adapters(ours)
    torch.testing.assert_close(outputs(ours), trained, rtol=1e-3, atol=1e-4)


def test_adapters_start_as_nothing_and_by_seed():
    layers = nn.Sequential(nn.Linear(4, 3))
    expected = layers(torch.ones(1, 4))
    again = copy.deepcopy(layers)
    add_adapters(layers, rank=2, seed=1)
    add_adapters(again, rank=2, seed=1)
    assert torch.equal(layers(torch.ones(1, 4)), expected)
    assert torch.equal(layers[0].down, again[0].down)


def test_rejects_network_without_linear_layers():
    with pytest.raises(ValueError, match="Embedding: expected linear layers for LoRA, got none"):
        add_adapters(nn.Embedding(2, 2), rank=1, seed=0)
