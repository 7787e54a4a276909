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
    # Languages: shares .8 and .2, wanted sqrt -> .8944 : .4472 = 2/3 : 1/3, drawn 1/2 each: parts 4/3 and 2/3.
    # Topics: en holds topic 0 only, sw topic 1 only, so the topic parts are the same.
    assert weights(counts(en=[80], sw=[0, 20]), alpha=0.5, beta=0.5) == pytest.approx([4 / 3, 2 / 3])


def test_exponents_one_give_back_the_natural_shares():
    frame = sample_weights(counts(en=[60, 20], sw=[15, 5]), alpha=1, beta=1, language_temperature=0)
    by_language = frame.group_by("language", maintain_order=True).agg((pl.col("drawn") * pl.col("weight")).sum())
    # Half of the weight follows the languages (.8, .2), half the topics, which are equal in both (so .5, .5 as drawn).
    assert by_language["drawn"].to_list() == pytest.approx([0.65, 0.35])


def test_proportional_drawing_with_exponent_one_needs_no_weights():
    assert weights(counts(en=[60, 20], sw=[10, 10]), alpha=1, beta=1, temperature=1) == pytest.approx([1] * 4)


def test_smaller_alpha_favours_the_small_language():
    pairs = counts(en=[90], sw=[10])
    small = [weights(pairs, alpha=alpha)[1] for alpha in (1.0, 0.7, 0.45, 0.2, 0.0)]
    assert small == sorted(small)
    assert small[0] < small[-1] == pytest.approx(1)


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
