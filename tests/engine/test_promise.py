"""Steps: promises of datasets, and what decides their names."""

import pytest
from support.loom import NumberConfig, double_numbers, make_numbers, sum_numbers

from tasks.engine.step import Step, deferred


def test_calling_a_step_promises_and_runs_nothing():
    promise = make_numbers("sw", config=NumberConfig())
    assert (promise.step.name, promise.partition, promise.step.produces) == ("make_numbers", "sw", "qrels")
    assert str(promise) == "make_numbers-sw"


def test_equal_promises_have_equal_names():
    assert make_numbers(config=NumberConfig()).fingerprint == make_numbers(config=NumberConfig()).fingerprint


def test_settings_and_inputs_change_the_name():
    one, other = make_numbers(config=NumberConfig()), make_numbers(config=NumberConfig(values=(3,)))
    names = {
        double_numbers(numbers=one, factor=2).fingerprint,
        double_numbers(numbers=one, factor=3).fingerprint,
        double_numbers(numbers=other, factor=2).fingerprint,
    }
    assert len(names) == 3


def test_excluded_settings_do_not_change_the_name():
    assert make_numbers(config=NumberConfig(speed=9)).fingerprint == make_numbers(config=NumberConfig()).fingerprint


def test_inputs_are_found_inside_dicts_and_lists():
    numbers = {"sw": make_numbers("sw", config=NumberConfig())}
    assert list(sum_numbers(parts=numbers).inputs) == ["parts.sw"]


def test_resolves_steps_to_references():
    numbers = make_numbers("sw", config=NumberConfig())
    resolved = sum_numbers(parts={"sw": numbers}).resolve("store/")
    assert resolved["parts"]["sw"].uri == f"store/qrels/sw/{numbers.fingerprint}"


def test_rejects_arguments_that_the_body_does_not_take():
    with pytest.raises(TypeError, match="missing=..factor.."):
        double_numbers(numbers=make_numbers(config=NumberConfig()))


def test_rejects_a_kind_without_a_schema():
    with pytest.raises(ValueError, match="expected a kind of .*, got 'nonsense'"):
        Step("support.loom:make_numbers", produces="nonsense")


def test_settings_refuse_unknown_names():
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        NumberConfig(valeus=(1,))


def test_deferred_module_is_imported_at_first_use():
    module = deferred("json")
    assert module.loads("1") == 1
