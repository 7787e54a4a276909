"""Languages without train queries: measured beside others that are trained, or alone."""

import pytest
from support.raw_files import miracl

from flows.configs import PipelineConfig
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
