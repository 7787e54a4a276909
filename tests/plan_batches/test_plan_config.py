import pytest

from tasks.plan_batches.config import FastTextModels, PlanBatchesConfig


def test_defaults_are_the_methods():
    config = PlanBatchesConfig()
    assert (config.batch_size, config.num_negatives, config.alpha, config.beta) == (24, 7, 0.45, 0.40)
    assert config.topics == 12


def test_topics_stay_out_of_the_plans_settings_and_paths_out_of_all():
    assert "topics" not in PlanBatchesConfig(topics="models/fasttext").model_dump(mode="json")
    assert FastTextModels(folder="models/fasttext").model_dump(mode="json") == {}


def test_names_the_missing_model_file(tmp_path):
    (tmp_path / "dbpedia.bin").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"expected a fastText model at .*yahoo_answers.bin, got no file"):
        _ = FastTextModels(folder=str(tmp_path)).files


@pytest.mark.parametrize(
    "setting", [{"batch_size": 1}, {"alpha": 1.5}, {"language_temperature": -0.1}, {"num_steps": 0}, {"topics": 0}]
)
def test_rejects_values_out_of_range(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        PlanBatchesConfig(**setting)
