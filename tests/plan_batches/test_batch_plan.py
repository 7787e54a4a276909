import dataclasses
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plan_data import Language, languages, plain_language
from support.plan_oracle import check_plan

from storage.schemas import check
from tasks.plan_batches import plan as module
from tasks.plan_batches.plan import plan_parts, steps_per_epoch
from tasks.plan_batches.shares import topics_per_batch
from tasks.plan_batches.tables import count_queries
from tasks.plan_batches.weights import sample_weights

BATCH = 4


def plan(
    *given: Language,
    batch_size: int = BATCH,
    num_negatives: int = 2,
    num_epochs: int = 1,
    num_steps: int | None = None,
    seed: int = 0,
    temperature: float = 0.0,
    shuffle: int | None = None,
    same_language: bool = True,
    topic_balance: bool = True,
) -> pl.DataFrame:
    tables = [language.table if shuffle is None else language.shuffled(shuffle) for language in given]
    weights = sample_weights(count_queries(tables), alpha=0.45, beta=0.4, language_temperature=temperature)
    parts = plan_parts(
        tables,
        weights,
        batch_size=batch_size,
        num_negatives=num_negatives,
        num_epochs=num_epochs,
        num_steps=num_steps,
        seed=seed,
        language_temperature=temperature,
        same_language=same_language,
        topic_balance=topic_balance,
    )
    return pl.concat(list(parts))


EN, SW, TE = plain_language("en", 40), plain_language("sw", 12), plain_language("te", 5)


def test_plan_has_the_columns_of_its_dataset():
    table = plan(EN, SW).to_arrow()
    assert check("batch_plan", table).num_rows == 52


def test_epoch_has_a_slot_for_every_train_query():
    frame = plan(EN, SW, TE, num_epochs=2)
    assert steps_per_epoch([one.table for one in (EN, SW, TE)], batch_size=BATCH, num_steps=None) == 15  # 57 / 4
    assert frame["step"].unique().sort().to_list() == list(range(30))
    assert frame.filter(pl.col("epoch") == 1)["step"].min() == 15


def test_number_of_steps_can_be_set():
    assert plan(EN, num_steps=3, num_epochs=2).height == 2 * 3 * BATCH


def test_a_step_holds_one_language_and_all_its_slots():
    for _, rows in plan(EN, SW, TE, num_epochs=3).group_by("step"):
        assert rows["language"].n_unique() == 1
        assert rows["slot"].to_list() == [0, 1, 2, 3]


def test_languages_are_drawn_uniformly():
    frame = plan(EN, SW, TE, num_steps=30, num_epochs=2)
    assert frame.group_by("language").len().sort("language").rows() == [("en", 80), ("sw", 80), ("te", 80)]


def test_languages_are_drawn_by_size_at_temperature_one():
    frame = plan(EN, SW, num_steps=52, temperature=1.0)
    assert frame.group_by("language").len().sort("language").rows() == [("en", 40 * BATCH), ("sw", 12 * BATCH)]


def test_every_query_comes_before_any_comes_twice():
    frame = plan(SW, num_steps=40, batch_size=5)
    seen = Counter(dict.fromkeys(SW.positives, 0))
    for _, rows in frame.group_by("step", maintain_order=True):
        seen.update(rows["query_id"].to_list())
        assert max(seen.values()) - min(seen.values()) <= 1


def test_topics_of_a_batch_are_as_even_as_can_be():
    frame = plan(EN, SW, num_steps=40)  # three topics, four slots
    topics = frame.group_by("step").agg(pl.col("topic").n_unique())
    assert topics["topic"].to_list() == [3] * 40


def test_topics_are_nearly_as_many_as_possible_where_queries_share_documents():
    # Every fourth query shares its positive with the one before it: swaps cost few topics.
    queries = [f"q{number:03}" for number in range(96)]
    positives = {query: [f"d{number - (number % 4 == 3):03}"] for number, query in enumerate(queries)}
    topic = {query: number * number % 7 for number, query in enumerate(queries)}
    shared = Language("en", positives, {query: [f"{query}-{n}" for n in range(4)] for query in queries}, {}, topic)
    (row,) = topics_per_batch(plan(shared, batch_size=8, num_steps=48)).to_dicts()
    assert row["topics_per_batch"] > 0.95 * row["topics_possible"]


def test_hard_negatives_are_drawn_anew_in_each_epoch():
    frame = plan(TE, num_steps=5, num_epochs=8)
    draws = frame.group_by("query_id").agg(pl.col("negatives").list.join(" ").n_unique())
    assert draws["negatives"].min() > 5


def test_weight_follows_language_and_topic():
    rare = Language("sw", SW.positives, SW.kept, {}, {query: int(query > "sw001") for query in SW.positives})
    expected = sample_weights(count_queries([EN.table, rare.table]), alpha=0.45, beta=0.4, language_temperature=0)
    found = plan(EN, rare).group_by("language", "topic").agg(pl.col("weight").unique()).sort("language", "topic")
    assert found["weight"].to_list() == [[pytest.approx(one)] for one in expected["weight"]]


def test_mean_weight_of_whole_passes_is_one():
    frame = plan(EN, SW, num_steps=120)  # 60 steps of 4: six passes of 40, twenty of 12
    assert frame["weight"].mean() == pytest.approx(1, abs=1e-6)


def test_equal_seeds_give_equal_plans_whatever_the_row_order():
    assert plan(EN, SW, num_epochs=2).equals(plan(SW, EN, num_epochs=2, shuffle=5))


def test_other_seeds_give_other_plans():
    assert not plan(EN, seed=1)["query_id"].equals(plan(EN, seed=2)["query_id"])


def test_a_language_deals_the_same_beside_any_other():
    alone = plan(EN, num_steps=10)
    beside = plan(EN, TE, num_steps=20).filter(pl.col("language") == "en")
    assert alone.select("query_id", "positive", "negatives").equals(beside.select("query_id", "positive", "negatives"))


def test_parts_hold_whole_steps_and_bound_the_rows(monkeypatch):
    monkeypatch.setattr(module, "PART_SLOTS", 10)
    weights = sample_weights(count_queries([EN.table]), alpha=0, beta=0, language_temperature=0)
    parts = plan_parts(
        [EN.table],
        weights,
        batch_size=BATCH,
        num_negatives=2,
        num_epochs=2,
        num_steps=5,
        seed=0,
        language_temperature=0,
    )
    assert [part.height for part in parts] == [8, 8, 4, 8, 8, 4]


def test_plan_without_hard_negatives_has_empty_lists():
    assert plan(EN, num_negatives=0)["negatives"].to_list() == [[]] * 40


def test_rejects_no_language():
    weights = pl.DataFrame(schema={"language": pl.String, "topic": pl.Int32, "weight": pl.Float64})
    with pytest.raises(ValueError, match="at least one language, got none"):
        next(
            plan_parts(
                [],
                weights,
                batch_size=2,
                num_negatives=1,
                num_epochs=1,
                num_steps=1,
                seed=0,
                language_temperature=0,
            )
        )


def test_mixed_batches_draw_languages_as_batches_of_one_do():
    frame = plan(EN, SW, TE, num_steps=30, num_epochs=2, same_language=False)
    assert frame.group_by("language").len().sort("language").rows() == [("en", 80), ("sw", 80), ("te", 80)]
    by_size = plan(EN, SW, num_steps=52, temperature=1.0, same_language=False)
    assert by_size.group_by("language").len().sort("language").rows() == [("en", 160), ("sw", 48)]


def test_mixed_batches_hold_several_languages_and_all_their_slots():
    frame = plan(EN, SW, TE, num_steps=30, same_language=False)
    steps = frame.group_by("step", maintain_order=True).agg(pl.col("language").n_unique(), pl.col("slot"))
    assert steps["language"].mean() > 2
    assert steps["slot"].to_list() == [[0, 1, 2, 3]] * 30


def test_mixed_batches_show_every_query_before_any_twice():
    frame = plan(EN, SW, TE, num_steps=40, same_language=False)
    for name, one in (("en", EN), ("sw", SW), ("te", TE)):
        seen = Counter(dict.fromkeys(one.positives, 0))
        for _, rows in frame.filter(pl.col("language") == name).group_by("step", maintain_order=True):
            seen.update(rows["query_id"].to_list())
            assert max(seen.values()) - min(seen.values()) <= 1


def test_mixed_plan_is_the_same_again_whatever_the_row_order():
    settings = {"num_epochs": 2, "same_language": False}
    assert plan(EN, SW, **settings).equals(plan(SW, EN, shuffle=5, **settings))


def test_without_topic_balance_batches_have_fewer_topics():
    frame = plan(EN, SW, num_steps=40, topic_balance=False)
    topics = frame.group_by("step").agg(pl.col("topic").n_unique())
    assert topics["topic"].mean() < 2.9


SETTINGS = st.fixed_dictionaries(
    {
        "batch_size": st.integers(2, 6),
        "num_negatives": st.integers(0, 3),
        "seed": st.integers(0, 99),
        "temperature": st.sampled_from([0.0, 0.5, 1.0]),
        "same_language": st.booleans(),
        "topic_balance": st.booleans(),
    }
)


@settings(max_examples=12, deadline=None)
@given(languages("en"), languages("sw"), SETTINGS)
def test_keeps_every_promise_or_says_why_not(english, swahili, setting):
    assert_promises(english, swahili, **setting)


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(max_examples=100, deadline=None)
@given(languages("en"), languages("sw"), SETTINGS)
def test_keeps_every_promise_of_many_plans(english, swahili, setting):
    assert_promises(english, swahili, **setting)


def assert_promises(english: Language, swahili: Language, **setting: Any) -> None:
    both = {"en": english, "sw": dataclasses.replace(swahili, name="sw")}
    try:
        frame = plan(*both.values(), num_epochs=2, num_steps=12, **setting)
    except ValueError as error:
        refusal = str(error)
        assert refusal.startswith("plan_batches: expected")  # noqa: PT017 - refusing is allowed, the rest is not
        return
    check_plan(
        frame,
        {name: one.known for name, one in both.items()},
        batch_size=setting["batch_size"],
        num_negatives=setting["num_negatives"],
        same_language=setting["same_language"],
        language_temperature=setting["temperature"],
    )
    for language, query, topic in frame.select("language", "query_id", "topic").rows():
        assert topic == both[language].topic[query]


def test_plan_that_can_be_separated_lists_nothing():
    assert plan(EN, SW, TE, num_epochs=2)["not_negatives"].to_list() == [[]] * 2 * 60
    five = squad(60, questions=5)  # 12 passages, batches of 4
    frame = plan(five)
    assert frame["not_negatives"].list.len().sum() == 0
    check_plan(frame, {"en": five.known}, batch_size=4, num_negatives=2)


@pytest.mark.parametrize(("questions", "same_language"), [(5, True), (20, True), (20, False)])
def test_many_questions_per_passage_are_planned_and_what_cannot_be_parted_is_listed(questions, same_language):
    one = squad(60, questions=questions)
    frame = plan(one, batch_size=8, num_epochs=2, same_language=same_language)
    promised = {"batch_size": 8, "num_negatives": 2, "same_language": same_language}
    check_plan(frame, {"en": one.known}, **promised)
    shared = 60 // questions < 8  # fewer passages than slots
    assert bool(frame["not_negatives"].list.len().sum()) == shared


def test_copies_of_a_positive_are_listed_as_the_positive_is():
    # 24 questions, answered by texts of their own ids; only three different texts.
    queries = [f"q{number:02}" for number in range(24)]
    texts = {f"d{number:02}": f"{'ABC'[number % 3]} text" for number in range(24)}
    others = {f"n{number}": f"unlike {number}" for number in range(9)}
    one = Language(
        "en",
        {query: [f"d{number:02}"] for number, query in enumerate(queries)},
        {query: list(others) for query in queries},
        {},
        dict.fromkeys(queries, 0),
        documents=texts | others,
    )
    frame = plan(one, batch_size=6)
    check_plan(frame, {"en": one.known}, batch_size=6, num_negatives=2)
    listed = frame["not_negatives"].list.len()
    assert listed.to_list() == [1] * 24  # two of each text in every batch, and each other's positive is listed


def squad(num_questions: int, *, questions: int) -> Language:
    """Passages with many questions each; hard negatives are other documents."""
    queries = [f"q{number:03}" for number in range(num_questions)]
    return Language(
        "en",
        {query: [f"p{number // questions:02}"] for number, query in enumerate(queries)},
        {query: [f"n{number % 17}", f"n{number % 7}", f"n{number % 19}"] for number, query in enumerate(queries)},
        {},
        {query: number // questions % 4 for number, query in enumerate(queries)},
    )
