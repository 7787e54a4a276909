"""docs/settings.md and its JSON Schema say what the models say."""

import json
from pathlib import Path

import pytest
import yaml

from docs import settings

REPOSITORY = Path(__file__).parents[1]
CONFIGURATIONS = [*REPOSITORY.glob("configs/*.yaml"), REPOSITORY / "benchmarks/ablation/quad16.yaml"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_page_is_what_the_models_say():
    assert (REPOSITORY / "docs/settings.md").read_text(encoding="utf-8") == settings.page(), "run make settings"


def test_schema_is_what_the_models_say():
    written = (REPOSITORY / "docs/settings.schema.json").read_text(encoding="utf-8")
    assert written == settings.schema(), "run make settings"


def test_every_setting_has_a_description():
    assert [leaf.path for leaf in settings.leaves() if not leaf.field.description] == []


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_configurations_name_the_schema_and_keep_to_it(path):
    first, _, rest = path.read_text(encoding="utf-8").partition("\n")
    schema = json.loads((path.parent / first.partition("$schema=")[2]).read_text(encoding="utf-8"))
    assert set(yaml.safe_load(rest)) <= set(schema["properties"])


def test_a_setting_makes_the_step_again_that_reads_it():
    page = (REPOSITORY / "docs/settings.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    assert rows["plan_batches.seed"].endswith("| plan_batches: `plan_batches` |")
    assert rows["text.max_query_tokens"].endswith(
        "| denoise: `find_features`, `score_pairs`; retrieve: `embed_queries`; train: `tokenize_queries` |"
    )
    assert rows["train.checkpoint_minutes"].endswith("| nothing |")
