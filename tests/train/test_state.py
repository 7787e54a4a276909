import math

import pytest
import torch

from tasks.train.state import TrainingState

FLOOR = 0.001  # below it, float32 cosines make noise of the loss


def test_learned_temperature_stops_at_its_floor():
    layer = torch.nn.Linear(1, 1)
    state = TrainingState(layer, temperature=0.0015, learn_temperature=True)
    for _ in range(3):
        layer(torch.ones(1, 1)).sum().backward()
        state.log_temperature.grad = torch.tensor(1.0)  # a smaller one lowers the loss
        state.take_step(0.0, learning_rate=1e-3, temperature_rate=5.0)
    assert state.log_temperature.exp().item() == pytest.approx(FLOOR, rel=1e-4)
    assert state.temperatures == pytest.approx([0.0015, FLOOR, FLOOR], rel=1e-4)


def test_learned_temperature_may_rise_from_its_floor():
    layer = torch.nn.Linear(1, 1)
    state = TrainingState(layer, temperature=FLOOR, learn_temperature=True)
    layer(torch.ones(1, 1)).sum().backward()
    state.log_temperature.grad = torch.tensor(-1.0)
    state.take_step(0.0, learning_rate=1e-3, temperature_rate=0.5)
    assert state.log_temperature.exp().item() == pytest.approx(FLOOR * math.exp(0.5), rel=1e-3)
