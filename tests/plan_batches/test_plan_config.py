import pytest

from tasks.plan_batches.config import PlanBatchesConfig, TopicsConfig


def test_defaults_are_the_methods():
    config = PlanBatchesConfig()
    assert (config.batch_size, config.num_negatives, config.alpha, config.beta) == (24, 7, 0.45, 0.40)
    assert (config.topics.method, config.topics.num_topics) == ("clusters", 12)


def test_seed_of_the_plan_leaves_topics_alone():
    assert PlanBatchesConfig(seed=7).topics == PlanBatchesConfig(seed=8).topics


def test_paths_of_models_stay_out_of_fingerprints():
    config = TopicsConfig(method="fasttext", dbpedia_model="a.bin", yahoo_model="b.bin")
    assert not {"dbpedia_model", "yahoo_model"} & set(config.model_dump(mode="json"))


def test_rejects_fasttext_without_both_models():
    with pytest.raises(
        ValueError, match="expected dbpedia_model and yahoo_model for method 'fasttext', got 'a.bin' and None"
    ):
        TopicsConfig(method="fasttext", dbpedia_model="a.bin")


@pytest.mark.parametrize(
    "setting", [{"batch_size": 1}, {"alpha": 1.5}, {"language_temperature": -0.1}, {"num_steps": 0}]
)
def test_rejects_values_out_of_range(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        PlanBatchesConfig(**setting)
