from pathlib import Path

import pytest
import yaml

from flows.ablation_cells import list_cells, load_grid
from flows.configs import ConfigError
from flows.weave import weave

REPOSITORY = Path(__file__).parents[2]
GRID = {
    "config": str(REPOSITORY / "configs" / "quickstart.yaml"),
    "seeds": [1, 2],
    "reference": "full",
    "variants": {"full": [], "naive": ["denoise.strategy=naive"]},
}


@pytest.fixture
def write(tmp_path):
    def put(**changes):
        path = tmp_path / "grid.yaml"
        path.write_text(yaml.safe_dump(GRID | changes))
        return path

    return put


def test_cells_come_seed_by_seed_with_their_settings(write):
    cells = list_cells(load_grid(write()), write())
    assert list(map(str, cells)) == ["full, seed 1", "naive, seed 1", "full, seed 2", "naive, seed 2"]
    assert [
        (cell.config.denoise.strategy, cell.config.plan_batches.seed, cell.config.train.seed) for cell in cells
    ] == [
        ("grade", 1, 1),
        ("naive", 1, 1),
        ("grade", 2, 2),
        ("naive", 2, 2),
    ]


def test_variants_and_seeds_can_be_chosen_and_overridden(write):
    path = write()
    (cell,) = list_cells(load_grid(path), path, variants=("naive",), seeds=(2,), overrides=("languages=[sw]",))
    assert (str(cell), cell.config.languages) == ("naive, seed 2", ("sw",))


def test_config_is_found_beside_the_grid(write, tmp_path):
    (tmp_path / "base.yaml").write_text("languages: [fi]\n")
    path = write(config="base.yaml", set=["plan_batches.batch_size=4"])
    assert {
        (cell.config.languages, cell.config.plan_batches.batch_size) for cell in list_cells(load_grid(path), path)
    } == {(("fi",), 4)}


def test_variants_share_all_steps_before_what_they_change(write):
    path = write(variants={"full": [], "mixed": ["plan_batches.same_language=false"]}, seeds=[1])
    full, mixed = (
        {str(p.promise.ref("s")): p.stage for p in weave(cell.config).planned}
        for cell in list_cells(load_grid(path), path)
    )
    assert {stage for ref, stage in mixed.items() if ref not in full} == {"plan_batches", "train", "evaluate", "export"}


def test_grid_of_quad16_is_valid(shared, monkeypatch):
    monkeypatch.setenv("QUAD16", str(shared / "quad16"))
    path = REPOSITORY / "benchmarks" / "ablation" / "grid.yaml"
    cells = list_cells(load_grid(path), path)
    assert len(cells) == 18
    assert (
        len(
            {
                planned.promise.fingerprint
                for cell in cells
                for planned in weave(cell.config).planned
                if planned.promise.step.produces == "training_log"
            }
        )
        == 18
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": "best"}, "expected the reference among full, naive, got 'best'"),
        ({"seeds": []}, "seeds: .* at least 1 item"),
        ({"variant": {}}, "variant: Extra inputs are not permitted"),
    ],
)
def test_rejects_a_wrong_grid(write, changes, message):
    with pytest.raises(ConfigError, match=message):
        load_grid(write(**changes))


def test_rejects_wrong_settings_and_names(write, tmp_path):
    path = write(variants={"full": ["denoise.strategy=best"]})
    with pytest.raises(ConfigError, match=r"denoise\.strategy"):
        list_cells(load_grid(path), path)
    path = write()
    with pytest.raises(ConfigError, match="--variant: expected one of full, naive, got 'other'"):
        list_cells(load_grid(path), path, variants=("other",))
    with pytest.raises(ConfigError, match="--seed: expected one of 1, 2, got '3'"):
        list_cells(load_grid(path), path, seeds=(3,))
    with pytest.raises(ConfigError, match="expected a grid's YAML file, got none"):
        load_grid(tmp_path / "nothing.yaml")
