import numpy as np
import pytest

from tasks.plan_batches.plan import draw_languages, language_shares


def drawn(shares: list[float], num_steps: int, seed: int = 0) -> list[int]:
    steps = draw_languages(np.array(shares), num_steps=num_steps, rng=np.random.default_rng(seed))
    return np.bincount(steps, minlength=len(shares)).tolist()


@pytest.mark.parametrize(
    ("temperature", "expected"), [(0.0, [1 / 3, 1 / 3, 1 / 3]), (1.0, [0.1, 0.1, 0.8]), (0.5, [0.2071, 0.2071, 0.5858])]
)
def test_language_shares_go_from_uniform_to_proportional(temperature, expected):
    assert language_shares(np.array([100, 100, 800]), temperature).tolist() == pytest.approx(expected, abs=1e-4)


def test_each_language_gets_its_share_exactly_where_it_divides():
    assert drawn([0.25, 0.25, 0.5], 40) == [10, 10, 20]


@pytest.mark.parametrize("seed", range(20))
def test_no_language_is_off_by_a_whole_step(seed):
    shares = [0.137, 0.263, 0.31, 0.29]
    for share, steps in zip(shares, drawn(shares, 101, seed), strict=True):
        assert abs(steps - share * 101) < 1


def test_rounding_is_fair_over_many_epochs():
    rng = np.random.default_rng(1)
    steps = np.concatenate([draw_languages(np.array([0.15, 0.85]), num_steps=3, rng=rng) for _ in range(4000)])
    # 0.45 steps of 3 per epoch: 0 or 1; 4000 epochs give 1800 with a standard deviation of 31.
    assert abs(np.count_nonzero(steps == 0) - 1800) < 5 * 31


def test_steps_come_in_random_order():
    rng = np.random.default_rng(0)
    orders = {tuple(draw_languages(np.array([0.5, 0.5]), num_steps=8, rng=rng)) for _ in range(20)}
    assert len(orders) > 10


def test_more_languages_than_steps_take_turns():
    rng = np.random.default_rng(0)
    epochs = [draw_languages(np.full(10, 0.1), num_steps=4, rng=rng) for _ in range(50)]
    assert all(len(set(epoch.tolist())) == 4 for epoch in epochs)
    assert set(np.concatenate(epochs).tolist()) == set(range(10))
