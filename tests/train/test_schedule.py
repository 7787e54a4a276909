import pytest

from tasks.train.schedule import learning_rate_at, step_seed


def rates(schedule: str, *, num_steps: int = 6, warmup_share: float = 0.34) -> list[float]:
    return [
        learning_rate_at(step, num_steps=num_steps, peak=1.0, warmup_share=warmup_share, schedule=schedule)
        for step in range(num_steps)
    ]


def test_linear_rises_to_the_peak_and_falls():
    assert rates("linear", warmup_share=1 / 3) == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25])


def test_cosine_falls_slowly_first():
    assert rates("cosine", warmup_share=1 / 3) == pytest.approx([0.5, 1.0, 1.0, 0.853553, 0.5, 0.146447], abs=1e-6)


def test_constant_stays_after_the_warmup():
    assert rates("constant") == pytest.approx([0.5, 1.0, 1.0, 1.0, 1.0, 1.0])


def test_starts_at_the_peak_without_warmup():
    assert rates("linear", num_steps=2, warmup_share=0.0) == [1.0, 0.5]


def test_single_step_trains_at_the_peak():
    assert rates("linear", num_steps=1, warmup_share=0.5) == [1.0]


def test_rejects_step_after_the_last():
    with pytest.raises(ValueError, match=r"step in 0\.\.5, got 6"):
        learning_rate_at(6, num_steps=6, peak=1.0, warmup_share=0.0, schedule="linear")


def test_step_seed_differs_by_step_and_seed_and_fits_torch():
    seeds = {step_seed(seed, step) for seed in range(20) for step in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)
