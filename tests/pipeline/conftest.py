"""A whole pipeline that runs in seconds: atlas in two languages, a tiny random encoder, every stage real."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.tiny_model import write_tiny_encoder

SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "languages": ["en", "sw"],
    "storage": {"root": "data"},
    "ingest": {"layout": "atlas", "atlas": {"documents_per_language": 200, "queries_per_language": 60}},
    "encoder": {"model": "model"},
    "retrieve": {
        "embed": {"max_query_tokens": 24, "max_document_tokens": 48, "shard_size": 8},
        "fuse": {"top_k": 12},
    },
    "denoise": {
        "fit": {"max_query_tokens": 24, "max_document_tokens": 48, "presumed_from_rank": 6},
        "rerank": {"max_query_tokens": 24, "max_document_tokens": 48, "shard_queries": 8},
    },
    "plan_batches": {"batch_size": 4, "num_negatives": 2, "num_epochs": 3, "topics": {"num_topics": 4}},
    "train": {"learning_rate": 1e-3, "max_query_tokens": 24, "max_document_tokens": 48, "checkpoint_steps": 1},
}


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
