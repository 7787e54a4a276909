import math
from dataclasses import replace

import pytest
import torch
from support.tiny_training import CONFIG, run_training, tiny_encoder, watch_scales

from tasks.train.network import Network
from tasks.train.state import LossScale, TrainingState


@pytest.mark.parametrize(
    ("device", "precision", "expected"),
    [
        ("cpu", "auto", torch.float32),
        ("cuda", "auto", torch.bfloat16),
        ("cpu", "fp16", torch.float16),
        ("cuda", "fp32", torch.float32),
    ],
)
def test_network_multiplies_in_the_type_of_setting_and_device(tmp_path, monkeypatch, device, precision, expected):
    monkeypatch.setattr(Network, "device", torch.device(device))
    encoder = tiny_encoder(tmp_path / "encoder")
    assert Network(encoder, replace(CONFIG, precision=precision), torch.arange(1).numpy()).dtype == expected


def test_loss_scale_halves_on_overflow_and_doubles_after_2000_good_steps():
    scale = LossScale.for_type(torch.float16)
    assert scale.value == 65_536
    scale.update(overflowed=True)
    assert scale.value == 32_768
    for _ in range(1999):
        scale.update(overflowed=False)
    assert scale.value == 32_768
    scale.update(overflowed=False)
    assert (scale.value, scale.good_steps) == (65_536, 0)


def test_loss_scale_of_other_types_is_one_and_cannot_fall():
    scale = LossScale.for_type(torch.bfloat16)
    assert scale.value == 1
    assert not scale.can_fall


def test_fp16_trains_float32_weights_close_to_fp32(tmp_path):
    _, full = run_training(tmp_path, checkpoints="a")
    encoder, log = run_training(tmp_path, checkpoints="b", precision="fp16")
    assert {value.dtype for value in encoder.parameters()} == {torch.float32}
    assert [row.loss for row in log] != [row.loss for row in full]
    assert [row.loss for row in log] == pytest.approx([row.loss for row in full], abs=0.02)
    assert log[0].gradient_norm == pytest.approx(full[0].gradient_norm, rel=0.02)


def test_fp16_leaves_out_a_step_that_overflows_and_lowers_the_scale(tmp_path, monkeypatch):
    scales = watch_scales(monkeypatch, start=2.0**40)
    _, log = run_training(tmp_path, precision="fp16")
    assert scales[:2] == [2.0**40, 2.0**39]
    assert log[0].gradient_norm == math.inf
    assert len(log) == 8


def test_scaled_gradients_are_taken_back_before_the_step():
    layer = torch.nn.Linear(2, 1)
    state = TrainingState(layer, loss_scale=LossScale(1024.0))
    (layer(torch.tensor([[3.0, 4.0]])).sum() * 1024.0).backward()
    norm = state.take_step(0.0, learning_rate=1e-3)
    assert norm == pytest.approx(math.sqrt(3**2 + 4**2 + 1))
