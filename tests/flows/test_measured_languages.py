"""Languages without train queries: measured beside others that are trained, or alone."""

import pytest
import yaml
from support.raw_files import miracl
from typer.testing import CliRunner

from flows.cli.main import app
from flows.configs import PipelineConfig, StorageConfig
from flows.weave import weave


def config(root, *languages):
    ingest = {"layout": "miracl", "path": str(root), "allow_missing_train": True}
    return PipelineConfig.model_validate({"languages": languages, "ingest": ingest})


@pytest.fixture
def root(tmp_path):
    """Finnish whole, Swahili without train files."""
    miracl(tmp_path, "fi")
    miracl(tmp_path, "sw")
    for path in tmp_path.glob("miracl-v1.0-sw/*/*-train.tsv"):
        path.unlink()
    return tmp_path


def kinds_of(pipeline, language):
    return {promise.step.produces for promise in pipeline.promises if promise.partition == language}


def trained(pipeline):
    return next(promise for promise in pipeline.promises if promise.step.name == "train_encoder")


def test_nothing_before_evaluation_knows_a_language_that_is_only_measured(root):
    both, alone = weave(config(root, "fi", "sw")), weave(config(root, "fi"))
    assert kinds_of(both, "sw") == {"corpus", "queries", "qrels", "embeddings", "candidates", "run"}
    assert kinds_of(both, "fi") == kinds_of(alone, "fi")
    assert trained(both).fingerprint == trained(alone).fingerprint
    systems = {promise.arguments["system"]: set(promise.arguments["runs"]) for promise in both.metrics}
    assert systems == {name: {"fi", "sw"} for name in ("bm25", "untrained", "trained")}


def test_without_any_train_queries_the_untrained_systems_are_measured(root):
    pipeline = weave(config(root, "sw"))
    assert [promise.arguments["system"] for promise in pipeline.metrics] == ["bm25", "untrained"]
    assert {staged.stage for staged in pipeline.staged} == {"ingest", "evaluate"}


def test_plan_says_which_languages_are_only_measured_or_lack_prompts(root, tmp_path):
    file = tmp_path / "config.yaml"
    settings = config(root, "fi", "sw").model_copy(update={"storage": StorageConfig(root=str(tmp_path / "data"))})
    chat = {"base_url": "http://127.0.0.1:9", "model": "none"}
    content = settings.model_dump(mode="json", exclude_defaults=True) | {"supplement": {"enabled": True, "chat": chat}}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    lines = CliRunner().invoke(app, ["plan", str(file)]).output
    assert "sw: no train queries, so only measured" in lines
