from pathlib import Path

import pytest
import yaml

from flows.ablation_variants import list_variants, load_ablation
from flows.settings_file import ConfigError
from flows.weave import weave

REPOSITORY = Path(__file__).parents[2]
ABLATION = {
    "config": str(REPOSITORY / "configs" / "quickstart.yaml"),
    "seeds": [1, 2],
    "reference": "full",
    "variants": {"full": [], "naive": ["denoise.strategy=naive"]},
}


@pytest.fixture
def write(tmp_path):
    def put(**changes):
        path = tmp_path / "ablation.yaml"
        path.write_text(yaml.safe_dump(ABLATION | changes))
        return path

    return put


def test_variants_come_seed_by_seed_with_their_settings(write):
    variants = list_variants(load_ablation(write()), write())
    assert list(map(str, variants)) == ["full, seed 1", "naive, seed 1", "full, seed 2", "naive, seed 2"]
    configs = [variant.config for variant in variants]
    assert [(config.denoise.strategy, config.plan_batches.seed, config.train.seed) for config in configs] == [
        ("grade", 1, 1),
        ("naive", 1, 1),
        ("grade", 2, 2),
        ("naive", 2, 2),
    ]


def test_variants_and_seeds_can_be_chosen_and_overridden(write):
    path = write()
    (variant,) = list_variants(
        load_ablation(path), path, variants=("naive",), seeds=(2,), overrides=("languages=[sw]",)
    )
    assert (str(variant), variant.config.languages) == ("naive, seed 2", ("sw",))


def test_config_is_found_beside_the_ablation(write, tmp_path):
    (tmp_path / "base.yaml").write_text("languages: [fi]\n")
    path = write(config="base.yaml", set=["plan_batches.batch_size=4"])
    assert {
        (variant.config.languages, variant.config.plan_batches.batch_size)
        for variant in list_variants(load_ablation(path), path)
    } == {(("fi",), 4)}


def test_variants_share_all_steps_before_what_they_change(write):
    path = write(variants={"full": [], "mixed": ["plan_batches.same_language=false"]}, seeds=[1])
    full, mixed = (
        {str(staged.promise.ref("s")): staged.stage for staged in weave(variant.config).staged}
        for variant in list_variants(load_ablation(path), path)
    )
    assert {stage for ref, stage in mixed.items() if ref not in full} == {"plan_batches", "train", "evaluate", "export"}


def test_ablation_of_quad16_is_valid(shared, monkeypatch):
    monkeypatch.setenv("QUAD16", str(shared / "quad16"))
    path = REPOSITORY / "benchmarks" / "ablation" / "grid.yaml"
    variants = list_variants(load_ablation(path), path)
    assert len(variants) == 18
    promises = [promise for variant in variants for promise in weave(variant.config).promises]
    assert len({promise.fingerprint for promise in promises if promise.step.produces == "training_log"}) == 18


def test_ablation_of_atlas_needs_nothing_and_is_small(monkeypatch):
    monkeypatch.delenv("QUAD16", raising=False)
    path = REPOSITORY / "benchmarks" / "ablation" / "atlas.yaml"
    variants = list_variants(load_ablation(path), path)
    assert len(variants) == 6
    promises = [promise for variant in variants for promise in weave(variant.config).promises]
    of_kind = {
        kind: {one.fingerprint for one in promises if one.step.produces == kind} for kind in ("scores", "training_log")
    }
    assert (len(of_kind["scores"]), len(of_kind["training_log"])) == (3, 6)  # a score table per language, shared


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": "best"}, "expected the reference among full, naive, got 'best'"),
        ({"seeds": []}, r"seeds: expected 1 or more entries, got \[\]"),
        ({"variant": {}}, "variant: there is no such setting .* Did you mean variants"),
    ],
)
def test_rejects_a_wrong_ablation(write, changes, message):
    with pytest.raises(ConfigError, match=message):
        load_ablation(write(**changes))


def test_rejects_wrong_settings_and_names(write, tmp_path):
    path = write(variants={"full": ["denoise.strategy=best"]})
    with pytest.raises(ConfigError, match=r"denoise\.strategy"):
        list_variants(load_ablation(path), path)
    path = write()
    with pytest.raises(ConfigError, match="--variant: expected one of full, naive, got 'other'"):
        list_variants(load_ablation(path), path, variants=("other",))
    with pytest.raises(ConfigError, match="--seed: expected one of 1, 2, got '3'"):
        list_variants(load_ablation(path), path, seeds=(3,))
    with pytest.raises(ConfigError, match="expected a YAML file, got none"):
        load_ablation(tmp_path / "nothing.yaml")


def test_a_pipelines_file_is_no_ablation():
    file = REPOSITORY / "configs" / "quickstart.yaml"
    with pytest.raises(
        ConfigError, match=r"its variants, got the settings of one pipeline\. See benchmarks/.*/atlas\.yaml"
    ):
        load_ablation(file)
