"""A pipeline over files, built: corrected dev judgements rebuild the evaluation alone, shuffled files nothing new."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.in_process import build_missing
from support.raw_files import jsonl, tsv, write
from support.tiny_model import write_tiny_encoder

from flows.configs import load_config
from flows.run.pipeline import Pipeline
from flows.weave import weave
from storage import inspect, load
from tasks.ingest.atlas.generate import generate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SETTINGS: dict[str, Any] = {
    "languages": ["en"],
    "storage": {"root": "data"},
    "ingest": {
        "layout": "table",
        "path": ".",
        "corpus": "corpus.jsonl",
        "queries": "queries-{split}.jsonl",
        "qrels": "qrels-{split}.tsv",
    },
    "text": {"max_query_tokens": 24, "max_document_tokens": 48},
    "encoder": {"model": "model"},
    "retrieve": {"fuse": {"top_k": 12}},
    "denoise": {"presumed_ranks": [6, 12]},
    "plan_batches": {"batch_size": 4, "num_negatives": 2, "num_epochs": 1, "topics": 4},
    "train": {"learning_rate": 1e-3},
}


def write_files(folder: Path) -> None:
    """Write atlas as files; the first dev query is train's first one again."""
    sample = generate("en", seed=0, documents_per_language=120, queries_per_language=50)
    queries = {
        split[0]: rows for split, rows in sample.queries.sort("query_id").partition_by("split", as_dict=True).items()
    }
    texts = {split: rows["text"].to_list() for split, rows in queries.items()}
    texts["dev"][0] = texts["train"][0]
    write(folder / "corpus.jsonl", jsonl(sample.corpus.to_dicts()))
    for split, rows in queries.items():
        asked = zip(rows["query_id"], texts[split], strict=True)
        write(folder / f"queries-{split}.jsonl", jsonl({"query_id": name, "text": text} for name, text in asked))
        judged = sample.qrels.join(rows, on="query_id", how="semi")
        write(folder / f"qrels-{split}.tsv", tsv([judged.columns, *judged.rows()]))


def woven(folder: Path, until: str | None = None) -> Pipeline:
    return weave(load_config(folder / "files.yaml"), until)


def contents(pipeline: Pipeline, root: str) -> list[tuple[str, str]]:
    return [(str(promise), load(promise.ref(root)).content) for promise in pipeline.promises]


def test_dev_files_reach_the_evaluation_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = str(tmp_path / "data")
    write_tiny_encoder(tmp_path / "model")
    write_files(tmp_path)
    write(tmp_path / "files.yaml", yaml.safe_dump(SETTINGS))

    away = tmp_path / "away"
    away.mkdir()
    for name in ("queries-dev.jsonl", "qrels-dev.tsv"):
        (tmp_path / name).rename(away / name)
    trained = build_missing(woven(tmp_path, "train"), root)
    assert trained[-1].step.name == "train_encoder"
    for file in away.iterdir():
        file.rename(tmp_path / file.name)
    evaluated = build_missing(woven(tmp_path), root)
    assert not {promise.step.name for promise in evaluated} & {promise.step.name for promise in trained} - {
        *("ingest_queries", "ingest_qrels", "retrieve_bm25", "embed_documents", "embed_queries", "search_dense")
    }
    (metrics,) = [promise for promise in woven(tmp_path).metrics if promise.settings["system"] == "bm25"]
    means = inspect.metrics_means(metrics.ref(root))
    assert {(row["num_queries"], row["num_new"]) for row in means} == {(18, 17)}
    assert all(0 < row["new_value"] <= 1 for row in means)

    path = tmp_path / "qrels-dev.tsv"
    path.write_text(path.read_text().replace("\t0\n", "\t1\n", 1))  # a judgement is corrected
    again = build_missing(woven(tmp_path), root)
    assert [promise.step.name for promise in again] == ["ingest_qrels", *["measure_runs"] * 3, "export_model"]

    before = contents(woven(tmp_path, "plan_batches"), root)
    for name in ("queries-train.jsonl", "qrels-train.tsv"):
        lines = (tmp_path / name).read_text().splitlines(keepends=True)
        head = name.endswith("tsv")
        (tmp_path / name).write_text("".join([*lines[:head], *lines[head:][::-1]]))
    assert build_missing(woven(tmp_path, "plan_batches"), root)
    assert contents(woven(tmp_path, "plan_batches"), root) == before
