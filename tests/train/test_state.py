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


def moved(steps: list[tuple[float, float, float]], **settings: object) -> list[list[float]]:
    """Take Adam's steps with the gradient (3, 4) times a factor, weights of a mean, and a rate; return both weights."""
    layer = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.zeros_(layer.weight)
    state = TrainingState(layer, weight_decay=0.0, **settings)
    places = []
    for factor, mean_weight, rate in steps:
        layer.weight.grad = factor * mean_weight * torch.tensor([[3.0, 4.0]])  # the loss carries the weights
        state.take_step(0.0, learning_rate=rate, mean_weight=mean_weight)
        places.append(layer.weight[0].tolist())
    return places


def by_hand(steps: list[tuple[tuple[float, float], float]]) -> list[list[float]]:
    """Adam's formula (Kingma and Ba, algorithm 1) in Python floats: gradients as they reach it, and rates."""
    weight, first, second, places = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], []
    for number, (gradient, rate) in enumerate(steps, start=1):
        for i in (0, 1):
            first[i] = 0.9 * first[i] + 0.1 * gradient[i]
            second[i] = 0.999 * second[i] + 0.001 * gradient[i] ** 2
            slope = first[i] / (1 - 0.9**number)
            weight[i] -= rate * slope / (math.sqrt(second[i] / (1 - 0.999**number)) + 1e-8)
        places.append(list(weight))
    return places


def assert_moved(steps: list[tuple[float, float, float]], expected: list[list[float]], **settings: object) -> None:
    for place, other in zip(moved(steps, **settings), expected, strict=True):
        assert place == pytest.approx(other, rel=1e-5, abs=1e-9)


def test_a_steps_mean_weight_survives_the_clipping():
    # Gradients of norm 5 and 10 before the weights, clipped to (.6, .8), then times the mean weights 1.36 and .64.
    expected = by_hand([((1.36 * 0.6, 1.36 * 0.8), 0.1), ((0.64 * 0.6, 0.64 * 0.8), 0.1)])
    assert_moved([(1.0, 1.36, 0.1), (2.0, 0.64, 0.1)], expected)
    without = by_hand([((0.6, 0.8), 0.1), ((0.6, 0.8), 0.1)])
    assert without[1] != pytest.approx(expected[1], rel=1e-2)


def test_mean_weight_is_no_reason_to_clip():
    # Norm .8 before the weights: left alone, though 1.6 with them; norm 2 is clipped, though .4 with them.
    expected = by_hand([((0.96, 1.28), 0.1), ((0.2 * 0.6, 0.2 * 0.8), 0.1)])
    assert_moved([(0.16 * 2, 1.0, 0.1)], by_hand([((0.6, 0.8), 0.1)]))  # 1.6 without weights is clipped
    assert_moved([(0.16, 2.0, 0.1), (0.4, 0.2, 0.1)], expected)


def test_without_a_bound_nothing_is_clipped():
    expected = by_hand([((6.0, 8.0), 0.1), ((0.3, 0.4), 0.1)])
    assert_moved([(1.0, 2.0, 0.1), (0.1, 1.0, 0.1)], expected, max_gradient_norm=None)


def test_bound_is_the_settings():
    expected = by_hand([((1.5, 2.0), 0.1), ((0.3, 0.4), 0.1)])
    assert_moved([(1.0, 1.0, 0.1), (0.1, 1.0, 0.1)], expected, max_gradient_norm=2.5)


@pytest.mark.parametrize(("decay", "left"), [(0.0, 1.0), (0.5, 0.95)])
def test_decay_shrinks_matrices_alone(decay, left):
    layer = torch.nn.Linear(2, 2)
    for value in layer.parameters():
        torch.nn.init.ones_(value)
        value.grad = torch.zeros_like(value)
    TrainingState(layer, weight_decay=decay).take_step(0.0, learning_rate=0.1)
    assert layer.weight.flatten().tolist() == pytest.approx([left] * 4)
    assert layer.bias.tolist() == [1.0, 1.0]
