"""The stages on a store: from texts to fused candidates, and embedding that goes on after a failure."""

from pathlib import Path

import polars as pl
import pytest
from support.loom import SURROUNDINGS
from support.tiny_model import write_tiny_encoder

import storage
from storage.fingerprints import reached_modules
from tasks.build import build
from tasks.models.encoder import Encoder
from tasks.retrieve import task
from tasks.retrieve.config import Bm25Config, FuseConfig, SearchConfig
from tasks.stage import Job, Step, stage

TEXTS = {"d1": "red apples", "d2": "green pears", "d3": "a red sky", "d4": "blue water", "d5": "pears and apples"}
QUERIES = {"t1": ("red apples", "train"), "t2": ("blue", "train"), "v1": ("pears", "dev")}
SEARCH = SearchConfig(depth=3)


@stage(produces="corpus")
def make_fruit(job: Job) -> None:
    """Write the documents in two parts."""
    frame = pl.DataFrame({"doc_id": list(TEXTS), "title": [""] * len(TEXTS), "text": list(TEXTS.values())})
    job.out.write(frame[:2])
    job.out.write(frame[2:])


@stage(produces="queries")
def make_questions(job: Job) -> None:
    """Write the queries of two splits."""
    rows = [(query_id, text, split, "given", None) for query_id, (text, split) in QUERIES.items()]
    names = ["query_id", "text", "split", "origin", "parent"]
    job.out.write(pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row"))


@stage(produces="encoder")
def make_encoder(job: Job) -> None:
    """Write a tiny encoder."""
    facts = {
        "name": "tiny",
        "num_layers": 2,
        "hidden_size": 32,
        "num_parameters": 1,
        "vocabulary_size": 1,
        "digest": "d",
    }
    job.out.write(pl.DataFrame([facts]))
    job.out.add_folder(write_tiny_encoder(job.scratch / "model", texts=TEXTS.values()), "model")


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def made(step: Step, root: str) -> pl.DataFrame:
    for needed in step.inputs.values():
        if storage.find(needed.ref(root)) is None:
            made(needed, root)
    build(step, root, SURROUNDINGS)
    return storage.read(step.ref(root))


def embed_fruit(**changed) -> Step:
    settings = {"max_tokens": 16, "text": "title_and_text", "shard_size": 2} | changed
    return task.embed_documents("en", corpus=make_fruit("en"), encoder=make_encoder(), **settings)


def search_fruit(**changed) -> Step:
    asked = task.embed_queries(
        "en", queries=make_questions("en"), encoder=make_encoder(), splits=("train",), max_tokens=16
    )
    return task.search_dense("en", documents=embed_fruit(**changed), queries=asked, system="tiny", search=SEARCH)


def bm25_fruit(config: Bm25Config | None = None) -> Step:
    return task.retrieve_bm25(
        "en",
        corpus=make_fruit("en"),
        queries=make_questions("en"),
        splits=("train", "dev"),
        analyzer="lucene:en",
        search=SEARCH,
        config=config or Bm25Config(heap_mb=130),
    )


def test_dense_search_finds_the_same_for_any_shard_size(root):
    found = made(search_fruit(), root)
    assert found["query_id"].unique().sort().to_list() == ["t1", "t2"]
    assert found.filter(query_id="t1")["doc_id"][0] == "d1"
    assert made(search_fruit(shard_size=3), root).equals(found)


def test_embedding_goes_on_with_the_missing_shards(root, monkeypatch):
    embed, embedded = Encoder.embed, []

    def fail_on_third(self, texts, **settings):
        embedded.append(texts)
        if len(embedded) == 3:
            raise KeyboardInterrupt("stop")
        return embed(self, texts, **settings)

    monkeypatch.setattr(Encoder, "embed", fail_on_third)
    with pytest.raises(KeyboardInterrupt, match="stop"):
        made(embed_fruit(), root)
    vectors = made(embed_fruit(), root)
    assert [len(texts) for texts in embedded] == [2, 2, 1, 1]
    assert vectors["id"].to_list() == list(TEXTS)
    undisturbed = made(embed_fruit(), f"{root}-2")
    assert vectors.equals(undisturbed)


@pytest.mark.slow
def test_bm25_and_dense_candidates_are_fused_for_one_split(root):
    found = made(bm25_fruit(), root)
    assert found.filter(query_id="v1")["doc_id"].to_list() == ["d2", "d5"]
    fused = task.fuse_candidates(
        "en",
        candidates=[bm25_fruit(), search_fruit()],
        queries=make_questions("en"),
        splits=("train",),
        config=FuseConfig(top_k=3),
    )
    rows = made(fused, root)
    assert rows["query_id"].unique().sort().to_list() == ["t1", "t2"]
    assert [entry["system"] for entry in rows["systems"][0]] == ["bm25", "tiny"]
    assert rows.filter(query_id="t1")["doc_id"][0] == "d1"


def test_machine_settings_leave_the_fingerprint_alone():
    other = Bm25Config(java_home="/jdk", heap_mb=256, analyzers={"fi": "standard"})
    assert bm25_fruit(other).fingerprint == bm25_fruit().fingerprint
    assert bm25_fruit(Bm25Config(k1=1.2)).fingerprint != bm25_fruit().fingerprint


def test_code_of_the_java_process_is_in_the_fingerprint():
    reached = reached_modules({"tasks.retrieve.lucene"})
    assert {"tasks.retrieve.lucene_process", "tasks.retrieve.lucene_index", "tasks.retrieve.analyzers"} <= reached
