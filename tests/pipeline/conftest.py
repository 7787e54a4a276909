"""A whole pipeline that runs in seconds: atlas in two languages, a tiny random encoder, every stage real."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.in_process import build_missing, counted_calls
from support.tiny_model import write_tiny_encoder

from flows.configs import PipelineConfig, load_config
from flows.run.pipeline import Pipeline
from flows.weave import weave
from tasks.engine.step import Promise

SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "languages": ["en", "sw"],
    "storage": {"root": "data"},
    "ingest": {"layout": "atlas", "atlas": {"documents_per_language": 200, "queries_per_language": 60}},
    "encoder": {"model": "model"},
    "retrieve": {
        "shard_size": 8,
        "fuse": {"top_k": 12},
    },
    "denoise": {"presumed_ranks": [6, 40]},
    "plan_batches": {"batch_size": 4, "num_negatives": 2, "num_epochs": 3, "topics": 4},
    "text": {"max_query_tokens": 24, "max_document_tokens": 48},
    "train": {"learning_rate": 1e-3, "checkpoint_minutes": 0},
}


@pytest.fixture(scope="session")
def tiny_settings() -> dict[str, Any]:
    """Return the tiny pipeline's settings."""
    return SETTINGS


@pytest.fixture(scope="session")
def make_tiny(make_loom: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Return a function that puts the tiny pipeline into a folder and returns the command for it."""

    def make(folder: Path) -> Any:
        write_tiny_encoder(folder / "model")
        (folder / "tiny.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
        return make_loom(folder)

    return make


@pytest.fixture(scope="session")
def built(make_tiny: Callable[[Path], Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, dict[str, Any]]:
    """Run the tiny pipeline once, undisturbed."""
    loom = make_tiny(tmp_path_factory.mktemp("built"))
    return loom, loom.run("tiny.yaml")


@dataclass(frozen=True)
class Woven:
    """The tiny pipeline, built in this process, and the networks that ran for it."""

    folder: Path
    num_calls: int

    def settings(self, *overrides: str) -> PipelineConfig:
        """Load its configuration with some settings changed."""
        places = (f"storage.root={self.folder / 'data'}", f"encoder.model={self.folder / 'model'}")
        return load_config(self.folder / "tiny.yaml", (*places, *overrides))

    def build(self, pipeline: Pipeline) -> list[Promise]:
        """Build what is not in its store, and return it."""
        return build_missing(pipeline, str(self.folder / "data"))


@pytest.fixture(scope="session")
def woven(tmp_path_factory: pytest.TempPathFactory) -> Woven:
    """Build the tiny pipeline without Prefect: a store that tests may add to."""
    folder = tmp_path_factory.mktemp("woven")
    write_tiny_encoder(folder / "model")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    with counted_calls() as calls:
        tiny = Woven(folder, 0)
        tiny.build(weave(tiny.settings()))
    return replace(tiny, num_calls=len(calls))
