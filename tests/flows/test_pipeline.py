"""The order of Promises, and which of them a name means."""

import pytest
from support.loom import NumberConfig, double_numbers, make_numbers, sum_numbers

from flows.run.pipeline import Pipeline


@pytest.fixture
def pipeline():
    numbers = {name: make_numbers(name, config=NumberConfig(values=(n,))) for n, name in enumerate(("en", "sw"))}
    doubled = {name: double_numbers(name, numbers=promise, factor=2) for name, promise in numbers.items()}
    total = sum_numbers(parts=doubled)
    return Pipeline.weave({"ingest": list(numbers.values()), "train": [total]}, metrics=[total])


def names(pipeline):
    return [(staged.stage, str(staged.promise)) for staged in pipeline.staged]


def test_inputs_come_first_and_each_step_once(pipeline):
    assert names(pipeline) == [
        ("ingest", "make_numbers-en"),
        ("ingest", "make_numbers-sw"),
        ("train", "double_numbers-en"),
        ("train", "double_numbers-sw"),
        ("train", "sum_numbers-all"),
    ]


def test_until_a_stage_keeps_what_it_needs(pipeline):
    assert names(pipeline.until("ingest")) == names(pipeline)[:2]
    assert names(pipeline.until("double_numbers")) == names(pipeline)[:4]
    assert pipeline.until("ingest").metrics == ()
    assert pipeline.until(None) is pipeline


def test_same_dataset_promised_twice_is_one_step():
    one, other = (make_numbers("en", config=NumberConfig()) for _ in range(2))
    assert len(Pipeline.weave({"ingest": [one, other]}, metrics=[]).staged) == 1


def test_rejects_a_name_that_means_nothing(pipeline):
    with pytest.raises(ValueError, match=r"expected one of ingest, retrieve.*double_numbers.*got 'embed'"):
        pipeline.until("embed")
