"""How many rows a dataset will have that is not built yet, and how large an encoder is."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from storage import DatasetRef, find, scan
from tasks.engine.step import Promise
from tasks.ingest.config import AtlasConfig, Source
from tasks.models.locate import locate_model
from tasks.plan_batches.config import PlanBatchesConfig

# Bytes per row of raw files that are not read yet: measured on quad16, but for gzipped queries and qrels (a guess).
_BYTES_PER_ROW = {"corpus": {"gz": 300, "": 900}, "queries": {"gz": 30, "": 60}, "qrels": {"gz": 8, "": 30}}
_JUDGED_PER_QUERY, _DEV_SHARE = 4, 0.35  # of atlas


@dataclass(frozen=True)
class Size:
    """What an encoder computes with."""

    layers: int
    hidden: int
    vocabulary: int

    @property
    def layer_weights(self) -> int:
        """Numbers that every token is multiplied with: 4 h² of attention and 8 h² of the two layers after it."""
        return 12 * self.layers * self.hidden**2


class Expected:
    """Rows and sizes, from manifests where there are some, else from settings and input files."""

    def __init__(self, root: str) -> None:
        """Look into the store at `root`."""
        self._root = root
        self._rows: dict[str, int | None] = {}

    def ref(self, promise: Promise) -> DatasetRef:
        """Name a Promise's dataset."""
        return promise.ref(self._root)

    def rows(self, promise: Promise) -> int | None:
        """Count or expect a dataset's rows; None where nothing says how many."""
        key = self.ref(promise).uri
        if key not in self._rows:
            manifest = find(self.ref(promise))
            rule = _RULES.get((promise.step.produces, promise.step.name))
            self._rows[key] = manifest.rows if manifest else rule(self, promise) if rule else None
        return self._rows[key]

    def asked(self, promise: Promise) -> int | None:
        """Count or expect the queries that a Promise works for: those of its splits."""
        queries, splits = promise.inputs.get("queries"), promise.arguments.get("splits")
        if queries is None or splits is None:
            return None if queries is None else self.rows(queries)
        if find(self.ref(queries)):
            return int(scan(self.ref(queries)).filter(pl.col("split").is_in(splits)).select(pl.len()).collect().item())
        number = self.rows(queries)
        shares = _shares(queries)
        return None if number is None else round(number * min(1.0, sum(shares.get(split, 1.0) for split in splits)))

    def encoder(self, promise: Promise) -> Size | None:
        """Tell the size of the encoder that a Promise is, trains or uses."""
        if promise.step.name != "prepare_encoder":
            inner = promise.inputs.get("encoder") or promise.inputs.get("documents")
            return self.encoder(inner) if inner else None
        config = promise.arguments["config"]
        layers, hidden, vocabulary = _network(config.model)
        return Size(min(config.num_layers or layers, layers), hidden, vocabulary)


def _network(source: str) -> tuple[int, int, int]:
    place = locate_model(source)
    if place.is_file():  # the bundled multilingual-e5-small, as its own format has it
        return 12, 384, 250_037
    config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    return int(config["num_hidden_layers"]), int(config["hidden_size"]), int(config.get("vocab_size", 0))


def _shares(queries: Promise) -> dict[str, float]:
    """Tell which share of the queries is in which split; 1 where nothing says."""
    arguments = queries.arguments
    held_out = arguments.get("validation_share", 0.0)
    if isinstance(arguments.get("config"), AtlasConfig):
        train = 1 - _DEV_SHARE
        return {"dev": _DEV_SHARE, "train": train * (1 - held_out), "validation": train * held_out}
    source = arguments.get("source")
    if not isinstance(source, Source) or not all(file.split for file in source.files):
        return {}
    sizes = {
        split: sum(_bytes(file.path) for file in source.files if file.split == split) for split in ("train", "dev")
    }
    total = sum(sizes.values()) or 1
    train = sizes["train"] / total
    return {"dev": sizes["dev"] / total, "train": train * (1 - held_out), "validation": train * held_out}


def _bytes(path: str) -> int:
    file = Path(path)
    return file.stat().st_size if file.is_file() else 0


def _from_files(what: str) -> "_Rule":
    def expect(_: Expected, promise: Promise) -> int | None:
        source: Source = promise.arguments["source"]
        sizes = [(_bytes(file.path), "gz" if file.path.endswith(".gz") else "") for file in source.files]
        if any(number == 0 for number, _ in sizes):
            return None  # on another machine: its size is not asked for
        return round(sum(number / _BYTES_PER_ROW[what][form] for number, form in sizes))

    return expect


def _like(name: str) -> "_Rule":
    return lambda expected, promise: expected.rows(promise.inputs[name])


def _per_query(depth: Callable[[Mapping[str, Any]], int], documents: str | None = None) -> "_Rule":
    def expect(expected: Expected, promise: Promise) -> int | None:
        asked = expected.asked(promise)
        corpus = expected.rows(promise.inputs[documents]) if documents else None
        each = depth(promise.arguments)
        return None if asked is None else asked * (each if corpus is None else min(each, corpus))

    return expect


def _embedded_queries(expected: Expected, promise: Promise) -> int | None:
    return expected.asked(promise)


def _found_by_vectors(expected: Expected, promise: Promise) -> int | None:
    asked, documents = expected.rows(promise.inputs["queries"]), expected.rows(promise.inputs["documents"])
    depth = promise.arguments["search"].depth
    return None if asked is None or documents is None else asked * min(depth, documents)


def _scored(expected: Expected, promise: Promise) -> int | None:
    fused, judged = expected.rows(promise.inputs["fused"]), expected.rows(promise.inputs["qrels"])
    return None if fused is None or judged is None else fused + judged


def _planned(expected: Expected, promise: Promise) -> int | None:
    config: PlanBatchesConfig = promise.arguments["config"]
    if config.num_steps:
        return config.num_steps * config.batch_size * config.num_epochs
    queries = [entry for name, entry in promise.inputs.items() if name.startswith("queries.")]
    numbers = [(expected.rows(entry), _shares(entry).get("train", 1.0)) for entry in queries]
    if any(number is None for number, _ in numbers):
        return None
    return round(sum((number or 0) * share for number, share in numbers) * config.num_epochs)


_Rule = Callable[[Expected, Promise], int | None]
_RULES: dict[tuple[str, str], _Rule] = {  # by kind of dataset and stage
    ("corpus", "generate_corpus"): lambda _, promise: int(promise.arguments["config"].documents_per_language),
    ("queries", "generate_queries"): lambda _, promise: int(promise.arguments["config"].queries_per_language),
    ("qrels", "generate_qrels"): lambda _, promise: (
        int(promise.arguments["config"].queries_per_language) * _JUDGED_PER_QUERY
    ),
    ("truth", "generate_truth"): lambda _, promise: (
        int(promise.arguments["config"].queries_per_language) * _JUDGED_PER_QUERY
    ),
    ("encoder", "prepare_encoder"): lambda *_: 1,
    ("corpus", "ingest_corpus"): _from_files("corpus"),
    ("queries", "ingest_queries"): _from_files("queries"),
    ("qrels", "ingest_qrels"): _from_files("qrels"),
    ("embeddings", "embed_documents"): _like("corpus"),
    ("embeddings", "embed_queries"): _embedded_queries,
    ("candidates", "retrieve_bm25"): _per_query(lambda arguments: int(arguments["search"].depth), "corpus"),
    ("candidates", "search_dense"): _found_by_vectors,
    ("fused", "fuse_candidates"): _per_query(lambda arguments: int(arguments["config"].top_k)),
    ("fused", "fuse_vectors"): _per_query(lambda arguments: int(arguments["config"].top_k)),
    ("raw_scores", "score_candidates"): _scored,
    ("scores", "apply_calibration"): _like("raw_scores"),
    ("hard_negatives", "select_hard_negatives"): _like("fused"),
    ("batch_plan", "plan_batches"): _planned,
    ("run", "make_run"): _like("candidates"),
}
