import polars as pl
import pytest

from tasks.plan_batches.weights import sample_weights


def counts(**languages: list[int]) -> pl.DataFrame:
    rows = [(name, topic, size) for name, sizes in languages.items() for topic, size in enumerate(sizes) if size]
    return pl.DataFrame(rows, schema=["language", "topic", "num_queries"], orient="row")


def weights(pairs: pl.DataFrame, *, alpha: float = 0.45, beta: float = 0.4, temperature: float = 0.0) -> list[float]:
    frame = sample_weights(pairs, alpha=alpha, beta=beta, language_temperature=temperature)
    return frame["weight"].to_list()


def test_equal_languages_and_topics_weigh_one():
    assert weights(counts(en=[5, 5], sw=[5, 5])) == pytest.approx([1, 1, 1, 1])


def test_weight_by_hand_with_alpha_and_beta_a_half():
    # Shares .8 and .2, to the power -1/2: 1.118 and 2.236, 1 to 2; drawn 1/2 each, so the mean is 1 at 2/3 and 4/3.
    # Topics: en holds topic 0 only, sw topic 1 only, so the topic parts are the same.
    assert weights(counts(en=[80], sw=[0, 20]), alpha=0.5, beta=0.5) == pytest.approx([2 / 3, 4 / 3])


def test_weight_by_hand_of_languages_drawn_by_size():
    # The same, drawn .8 and .2: x * .8 + 2x * .2 = 1. Counted together en has .8 * x = 2/3, sw 1/3: share^alpha.
    assert weights(counts(en=[80], sw=[0, 20]), alpha=0.5, beta=0.5, temperature=1) == pytest.approx([5 / 6, 5 / 3])


def test_language_and_topic_each_give_half():
    # One topic everywhere: its part is 1. Languages as above at 2/3 and 4/3.
    assert weights(counts(en=[80], sw=[20]), alpha=0.5) == pytest.approx([(1 + 2 / 3) / 2, (1 + 4 / 3) / 2])


def test_miracls_small_languages_weigh_more_than_its_large_ones():
    # ko has 868 train queries of 40,203, ru 4,683: (4683 / 868) ** .55 = 2.528 times the language's part.
    sizes = [3495, 1631, 2863, 2162, 2107, 2897, 1143, 1169, 4071, 3477, 868, 4683, 1901, 3452, 2972, 1312]
    names = ["ar", "bn", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "sw", "te", "th", "zh"]
    found = dict(zip(names, weights(counts(**{name: [n] for name, n in zip(names, sizes, strict=True)})), strict=True))
    part = {name: 2 * weight - 1 for name, weight in found.items()}  # the topic's part is 1: there is but one
    assert part["ko"] / part["ru"] == pytest.approx((4683 / 868) ** 0.55)
    assert part["ko"] > 1.5 > 1 > part["ru"] > 0.6


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_exponents_one_weigh_all_alike_however_drawn(temperature):
    pairs = counts(en=[60, 20], sw=[10, 10])
    assert weights(pairs, alpha=1, beta=1, temperature=temperature) == pytest.approx([1] * 4)


def test_smaller_alpha_favours_the_small_language():
    pairs = counts(en=[90], sw=[10])
    small = [weights(pairs, alpha=alpha)[1] for alpha in (1.0, 0.7, 0.45, 0.2, 0.0)]
    assert small == sorted(small)
    assert small[0] == pytest.approx(1)
    assert small[-1] > 1.3


def test_smaller_beta_favours_the_rare_topic():
    pairs = counts(en=[90, 10])
    rare = [weights(pairs, beta=beta)[1] for beta in (1.0, 0.7, 0.4, 0.2, 0.0)]
    assert rare == sorted(rare)
    assert rare[0] == pytest.approx(1)
    assert rare[-1] > 1


@pytest.mark.parametrize("temperature", [0.0, 0.3, 1.0])
def test_mean_weight_over_the_drawn_slots_is_one(temperature):
    pairs = counts(en=[5000, 1, 30], sw=[20, 9], te=[1], th=[0, 0, 7])
    frame = sample_weights(pairs, alpha=0.45, beta=0.4, language_temperature=temperature)
    assert frame["drawn"].sum() == pytest.approx(1)
    assert (frame["drawn"] * frame["weight"]).sum() == pytest.approx(1)


def test_topic_of_one_query_does_not_rule_its_batches():
    # Language part 1; topic parts: the rare one cut at 5, the other close to 1.
    assert weights(counts(en=[100_000, 1]), beta=0) == pytest.approx([1, 3], abs=1e-4)


def test_order_of_rows_changes_nothing():
    pairs = counts(en=[500, 1, 30], sw=[20, 9], te=[1])
    assert weights(pairs.reverse()) == weights(pairs)


def test_rejects_pairs_without_a_query():
    pairs = pl.DataFrame({"language": ["en"], "topic": [0], "num_queries": [0]})
    with pytest.raises(ValueError, match="at least one query per language and topic, got 0"):
        weights(pairs)
