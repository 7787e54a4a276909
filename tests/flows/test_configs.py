"""Reading configurations, and the error for each way in which one can be wrong."""

from pathlib import Path

import pytest
import yaml

from flows.configs import ConfigError, PipelineConfig, StorageConfig, load_config

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("languages: [en, sw]\nplan_batches: {seed: 3}\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_configuration_of_the_project_is_valid(path):
    assert load_config(path).name == path.stem


def test_overrides_change_one_setting_each(config):
    changed = load_config(config, ("plan_batches.seed=7", "train.learning_rate=1e-4", "languages=[fi]"))
    assert (changed.plan_batches.seed, changed.train.learning_rate, changed.languages) == (7, 1e-4, ("fi",))


def test_override_reaches_settings_that_the_file_does_not_name(config):
    assert load_config(config, ("ingest.atlas.seed=5",)).ingest.atlas.seed == 5


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("plan_batches.sede=7",), r"plan_batches.sede: Extra inputs are not permitted \(got 7\)"),
        (("plan_batches.batch_size=0",), r"plan_batches.batch_size: .* greater than or equal to 2 \(got 0\)"),
        (("plan_batches.seed",), "expected stage.key=value, got 'plan_batches.seed'"),
        (("plan_batches.seed=[",), "expected a YAML value"),
        (("plan_batches.seed.deep=1",), "expected 'seed' to hold settings, got 3"),
        (("languages=[en,en]",), "expected each language once, got en, en"),
        (("languages=[xx]",), r"languages.0: .*BCP 47 tag, got 'xx'. Write it like de"),
        (("languages=[pt_BR]",), r"languages.0: .*got 'pt_BR'. Did you mean 'pt-BR'\?"),
        (
            ("languages=[de]", "ingest.layout=atlas"),
            r"expected ar, bn, .* for the sample atlas, got de. .*ingest.layout",
        ),
        (("languages=[]",), "languages: Tuple should have at least 1 item"),
        (("evaluate.metrics=[]",), "evaluate.metrics: Tuple should have at least 1 item"),
        (("evaluate.metrics=[nonsense@3]",), "ir_measures knows no nonsense"),
        (("evaluate.metrics=[nDCG@0]",), "the cut-off is 0"),
        (
            ("evaluate.depth=5",),
            "evaluate.depth: expected at least 100, the cut-off of R@100 in evaluate.metrics, got 5",
        ),
        (("retrieve.search.depth=99",), "retrieve.search.depth: expected at least 100, .* got 99"),
        (("evaluate.metrics=[AP,nDCG(cutoff=101)]",), "evaluate.depth: expected at least 101, the cut-off of nDCG@101"),
    ],
)
def test_wrong_overrides_are_named(config, overrides, message):
    with pytest.raises(ConfigError, match=message):
        load_config(config, overrides)


def test_measures_are_spelled_as_ir_measures_does_so_spelling_rebuilds_nothing(config):
    changed = load_config(config, ("evaluate.metrics=[NDCG@10, recall_100]",))
    assert changed == load_config(config)


def test_depth_below_the_default_is_enough_for_what_is_measured(config):
    assert load_config(config, ("evaluate.metrics=[nDCG@5, AP]", "evaluate.depth=5")).evaluate.depth == 5


@pytest.mark.parametrize(
    ("content", "message"), [("[1, 2]", "expected settings by name, got list"), ("a: [", "expected YAML in UTF-8")]
)
def test_wrong_files_are_named(tmp_path, content, message):
    path = tmp_path / "config.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="expected a YAML file, got none"):
        load_config(tmp_path / "none.yaml")


def test_root_reads_the_environment_and_is_absolute(monkeypatch):
    monkeypatch.setenv("LOOM", "/somewhere")
    assert StorageConfig(root="${LOOM}/data/").location == "/somewhere/data"
    assert StorageConfig(root="s3://bucket/x").location == "s3://bucket/x"
    assert StorageConfig(root="data").location == str(Path.cwd() / "data")


def test_every_setting_has_a_description_for_the_form():
    schema = PipelineConfig.model_json_schema()

    def missing(model, path):
        for name, field in model["properties"].items():
            if "$ref" in field:
                yield from missing(schema["$defs"][field["$ref"].rpartition("/")[2]], f"{path}{name}.")
            elif not field.get("description"):
                yield f"{path}{name}"

    assert list(missing(schema, "")) == []


def test_prefect_deployment_has_the_quickstarts_settings():
    deployed = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"][0]
    quickstart = yaml.safe_load((REPOSITORY / "configs" / "quickstart.yaml").read_text())
    assert deployed["parameters"]["config"] == quickstart
