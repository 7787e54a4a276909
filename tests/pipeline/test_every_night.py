"""A whole tiny pipeline, and the same with a few new documents and queries: what is new costs what is new."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from support.loom import SURROUNDINGS
from support.tiny_model import write_tiny_encoder
from transformers import AutoModelForSequenceClassification
from typer.testing import CliRunner

from flows.cli.main import app
from flows.configs import PipelineConfig, load_config
from flows.weave import weave
from storage import Manifest, load
from tasks.engine.build import build

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NUM_DOCUMENTS, NUM_QUERIES = 200, 100
WORDS = [f"{a}{b}{c}" for a in "bdfgklm" for b in "aeiou" for c in "nrst"]
TAKEN = ("embed_documents", "embed_queries", "score_pairs", "find_features", "tokenize_documents", "tokenize_queries")


def texts(number: int) -> str:
    draw = random.Random(number)
    return " ".join(draw.choices(WORDS, k=draw.randint(3, 30)))


def lay_out(folder: Path, *, new: bool) -> None:
    """Write the collection; `new`: with 2 more documents, 1 of another text, 1 that is gone, and 1 more train query."""
    documents = [(f"d{number:03}", texts(number)) for number in range(NUM_DOCUMENTS)]
    asked = {"train": range(NUM_QUERIES), "dev": range(NUM_QUERIES, NUM_QUERIES + 10)}
    if new:
        documents[60] = ("d060", texts(9060))
        del documents[120]
        documents = [("a001", texts(9001)), *documents, ("e001", texts(9002))]
        asked["train"] = range(-1, NUM_QUERIES)
    folder.mkdir()
    lines = [json.dumps({"doc_id": name, "text": text}) for name, text in documents]
    (folder / "docs.jsonl").write_text("\n".join(lines), encoding="utf-8")
    named = [name for name, _ in documents]
    for split, numbers in asked.items():
        queries = [
            "query_id\tquery",
            *(f"q{number:03}\t{' '.join(texts(number % 200).split()[:3])}" for number in numbers),
        ]
        (folder / f"queries-{split}.tsv").write_text("\n".join(queries), encoding="utf-8")
        found = {number: f"d{number % 200:03}" for number in numbers}
        qrels = [f"q{number:03}\t{name}\t1" for number, name in found.items() if name in named]
        (folder / f"qrels-{split}.tsv").write_text("\n".join(["query_id\tdoc_id\trelevance", *qrels]), encoding="utf-8")


@pytest.fixture(scope="module", params=["fitted", "cross_encoder"])
def nights(request, tmp_path_factory, tiny_settings) -> dict[str, dict[str, Manifest]]:
    """Build the first night, the second in the same store, and the second in a store of its own."""
    folder = tmp_path_factory.mktemp("nights")
    write_tiny_encoder(folder / "model", texts=WORDS)
    write_tiny_encoder(folder / "judge", texts=WORDS)
    torch.manual_seed(0)
    judge = AutoModelForSequenceClassification.from_pretrained(folder / "judge", num_labels=1)
    with torch.no_grad():
        judge.classifier.weight.normal_(std=5.0)
    judge.save_pretrained(folder / "judge")
    for new in (False, True):
        lay_out(folder / str(new), new=new)
    first = built(settings(tiny_settings, folder, "kept", request.param, new=False))
    settings(tiny_settings, folder, "kept", request.param, new=True)
    planned = CliRunner().invoke(app, ["plan", str(folder / "night.yaml"), "--json", str(folder / "plan.json")])
    assert planned.exit_code == 0, planned.output
    (tmp_path_factory.getbasetemp() / "plan.json").write_bytes((folder / "plan.json").read_bytes())
    return {
        "first": first,
        "second": built(settings(tiny_settings, folder, "kept", request.param, new=True)),
        "nothing": built(settings(tiny_settings, folder, "other", request.param, new=True)),
    }


def settings(tiny: dict[str, Any], folder: Path, store: str, judge: str, *, new: bool) -> PipelineConfig:
    given = {
        **tiny,
        "languages": ["en"],
        "storage": {"root": str(folder / store)},
        "ingest": {"layout": "table", "path": str(folder / str(new)), "corpus": "docs.jsonl"}
        | {"queries": "queries-{split}.tsv", "qrels": "qrels-{split}.tsv", "columns": {"query": "query"}},
        "encoder": {"model": str(folder / "model")},
        "retrieve": {"shard_size": 64, "fuse": {"top_k": 12}},
        "denoise": tiny["denoise"]
        | {"judge": judge}
        | ({"cross_encoder": str(folder / "judge")} if judge == "cross_encoder" else {}),
    }
    (folder / "night.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
    return load_config(folder / "night.yaml", ())


def built(config: PipelineConfig) -> dict[str, Manifest]:
    """Build all before the training, and the token ids; by what each dataset is."""
    pipeline, root = weave(config, "train"), config.storage.location
    promises = [promise for promise in pipeline.promises if promise.step.name != "train_encoder"]
    for promise in promises:
        build(promise, root, SURROUNDINGS)
    return {f"{promise} {place}": load(promise.ref(root)) for place, promise in enumerate(promises)}


def test_a_night_gives_what_a_build_from_nothing_gives(nights):
    contents = {name: {key: one.content for key, one in night.items()} for name, night in nights.items()}
    assert contents["second"] == contents["nothing"]
    assert contents["second"] != contents["first"]


def test_only_what_is_new_is_computed(nights):
    assert not any(one.taken for name in ("first", "nothing") for one in nights[name].values())
    computed = {key: one.rows - one.taken for key, one in nights["second"].items() if one.step in TAKEN}
    assert {key.split()[0] for key in computed} >= {"embed_documents-en", "embed_queries-en", "tokenize_documents-en"}
    for key, number in computed.items():
        rows = nights["second"][key].rows
        assert number <= (3 if "embed" in key else rows // 4), key
    assert sum(number for key, number in computed.items() if key.startswith("embed_documents")) == 3
    assert sum(number for key, number in computed.items() if key.startswith("embed_queries")) == 1
    judged = [key for key in computed if key.startswith(("find_features", "score_pairs"))]
    assert judged
    assert all(computed[key] > 0 for key in judged)


def test_plan_says_beforehand_what_is_taken_over(nights, tmp_path_factory):
    assert nights
    said = json.loads((tmp_path_factory.getbasetemp() / "plan.json").read_text(encoding="utf-8"))["datasets"]
    mined, trained = (one["state"] for one in said if one["step"] == "embed_documents")
    assert "takes over those of the 200 rows whose texts are there (embeddings/en/" in mined
    assert "takes over" not in trained  # by another encoder each night
