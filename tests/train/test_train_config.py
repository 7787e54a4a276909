"""The settings, declared once: as the trainer has them, and as the configuration and its form do."""

from dataclasses import fields, replace

import pytest
from pydantic import TypeAdapter, ValidationError

from flows.configs import PipelineConfig
from tasks.train.config import Recipe, TrainConfig, read_settings, write_settings

NOT_OF_THE_RESULT = {"tensorboard", "gradient_cache", "num_processes", "checkpoint_minutes", "result"}


def rates(*, num_steps: int = 6, warmup_share: float) -> list[float]:
    recipe = Recipe(learning_rate=1.0, warmup_share=warmup_share)
    return [recipe.learning_rate_at(step, num_steps) for step in range(num_steps)]


def test_rate_rises_to_the_peak_and_falls_linearly():
    assert rates(warmup_share=1 / 3) == pytest.approx([0.5, 1.0, 1.0, 0.75, 0.5, 0.25])


def test_rate_starts_at_the_peak_without_warmup():
    assert rates(num_steps=2, warmup_share=0.0) == [1.0, 0.5]


def test_single_step_trains_at_the_peak():
    assert rates(num_steps=1, warmup_share=0.5) == [1.0]


def test_rejects_step_after_the_last():
    with pytest.raises(ValueError, match=r"step in 0\.\.5, got 6"):
        Recipe().learning_rate_at(6, 6)


def test_temperatures_rate_follows_the_networks():
    recipe = Recipe(learning_rate=1e-5, warmup_share=0.5, temperature_learning_rate=0.02)
    assert [recipe.temperature_rate_at(step, 4) for step in range(4)] == pytest.approx([0.01, 0.02, 0.02, 0.01])
    assert Recipe().temperature_rate_at(0, 4) == 0.0


def test_facts_and_fingerprint_hold_what_decides_the_result_alone():
    names = {field.name for field in fields(TrainConfig)}
    assert set(TrainConfig().facts()) == names - NOT_OF_THE_RESULT
    assert set(TypeAdapter(TrainConfig).dump_python(TrainConfig(), mode="json")) == names - NOT_OF_THE_RESULT
    assert TrainConfig(num_processes=8, result="x", tensorboard="y").facts() == TrainConfig().facts()
    assert TrainConfig(seed=8).facts() != TrainConfig().facts()


def test_settings_file_gives_back_what_was_written(tmp_path):
    config = replace(TrainConfig(), matryoshka_dimensions=(64, 32), patience=3, gradient_cache="on")
    write_settings(config, tmp_path / "recipe.json")
    assert read_settings(tmp_path / "recipe.json") == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"learning_rate": 0}, "greater than 0"),
        ({"warmup_share": 1}, "less than 1"),
        ({"weighting": "documents"}, "'query', 'negative' or 'none'"),
        ({"num_processes": 0}, "greater than or equal to 1"),
        ({"packing": True}, "Unexpected keyword argument"),
    ],
)
def test_configuration_holds_the_bounds(settings, message):
    with pytest.raises(ValidationError, match=message):
        PipelineConfig.model_validate({"languages": ["en"], "train": settings})


def test_form_has_each_settings_description_and_default():
    form = PipelineConfig.model_json_schema()["$defs"]["TrainConfig"]["properties"]
    assert len(form) == len(fields(TrainConfig))
    assert all(entry["description"] and "default" in entry for entry in form.values())
