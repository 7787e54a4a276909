"""The steps on a store: from texts to fused candidates, and embedding that goes on after a failure."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support.loom import SURROUNDINGS
from support.steps import declare
from support.tiny_model import write_tiny_encoder

import storage
from tasks import steps
from tasks.engine.build import build
from tasks.engine.job import Job
from tasks.engine.step import Promise
from tasks.models.layout import read_pooling, read_prompts
from tasks.models.locate import model_digest
from tasks.models.tokenizer import TextTokenizer
from tasks.retrieve import embed_task, fuse_task, task
from tasks.retrieve.analyzers import analyzer_of
from tasks.retrieve.config import Bm25Config, EncoderConfig, EnsembleEncoder, FuseConfig, SearchConfig

TEXTS = {"d1": "red apples", "d2": "green pears", "d3": "a red sky", "d4": "blue water", "d5": "pears and apples"}
QUERIES = {"t1": ("red apples", "train"), "t2": ("blue", "train"), "v1": ("pears", "dev")}
SEARCH = SearchConfig(depth=3)


@declare(produces="corpus")
def make_fruit(job: Job) -> None:
    """Write the documents in two parts."""
    frame = pl.DataFrame({"doc_id": list(TEXTS), "title": [""] * len(TEXTS), "text": list(TEXTS.values())})
    job.out.write(frame[:2])
    job.out.write(frame[2:])


@declare(produces="queries")
def make_questions(job: Job, *, split: str) -> None:
    """Write the queries of a split."""
    rows = [(query_id, text, own, "given", None) for query_id, (text, own) in QUERIES.items() if own == split]
    names = ["query_id", "text", "split", "origin", "parent"]
    job.out.write(pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row"))


@declare(produces="encoder")
def make_encoder(job: Job, *, seed: int = 0) -> None:
    """Write a tiny encoder."""
    facts = {
        "num_layers": 2,
        "hidden_size": 32,
        "num_parameters": 1,
        "vocabulary_size": 1,
        "digest": "d",
    }
    job.out.write(pl.DataFrame([facts]))
    job.out.add_folder(write_tiny_encoder(job.scratch / "model", texts=TEXTS.values(), seed=seed), "model")


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def made(promise: Promise, root: str) -> pl.DataFrame:
    for needed in promise.inputs.values():
        if storage.find(needed.ref(root)) is None:
            made(needed, root)
    build(promise, root, SURROUNDINGS)
    return storage.read(promise.ref(root))


def embed_fruit(seed: int = 0, **changed) -> Promise:
    settings = {"max_tokens": 16, "text": "title_and_text", "shard_size": 2} | changed
    return steps.embed_documents("en", corpus=make_fruit("en"), encoder=make_encoder(seed=seed), **settings)


def search_fruit(seed: int = 0, **changed) -> Promise:
    asked = steps.embed_queries(
        "en", queries=make_questions("en", split="train"), encoder=make_encoder(seed=seed), max_tokens=16
    )
    return steps.search_dense(
        "en", documents=embed_fruit(seed, **changed), queries=asked, system=f"tiny{seed}", search=SEARCH
    )


def bm25_fruit(config: Bm25Config | None = None, split: str = "dev", language: str = "en") -> Promise:
    return steps.retrieve_bm25(
        language,
        corpus=make_fruit(language),
        queries=make_questions(language, split=split),
        analyzer=analyzer_of(language),
        text="title_and_text",
        search=SEARCH,
        config=config or Bm25Config(),
    )


def test_dense_search_finds_the_same_for_any_shard_size(root):
    found = made(search_fruit(), root)
    assert found["query_id"].unique().sort().to_list() == ["t1", "t2"]
    assert found.filter(query_id="t1")["doc_id"][0] == "d1"
    assert made(search_fruit(shard_size=3), root).equals(found)


def test_embedding_goes_on_with_the_missing_shards(root, monkeypatch):
    blocks, embedded = TextTokenizer.blocks, []

    def fail_on_third(self, texts, **settings):
        embedded.append(texts)
        if len(embedded) == 3:
            raise KeyboardInterrupt("stop")
        return blocks(self, texts, **settings)

    monkeypatch.setattr(TextTokenizer, "blocks", fail_on_third)
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
    fused = steps.fuse_candidates(
        "en",
        candidates=[bm25_fruit(split="train"), search_fruit()],
        config=FuseConfig(top_k=3),
    )
    rows = made(fused, root)
    assert rows["query_id"].unique().sort().to_list() == ["t1", "t2"]
    assert [entry["system"] for entry in rows["systems"][0]] == ["bm25", "tiny0"]
    assert rows.filter(query_id="t1")["doc_id"][0] == "d1"


@pytest.mark.slow
def test_bm25_searches_the_same_corpus_again_by_the_index_that_is_kept(root, monkeypatch):
    whole = made(bm25_fruit(), root)
    monkeypatch.setattr(task, "iter_parts", lambda ref: iter(()))
    again = made(bm25_fruit(Bm25Config(k1=0.0)), root)
    assert (
        again.select("query_id", "doc_id")
        .sort("query_id", "doc_id")
        .equals(whole.select("query_id", "doc_id").sort("query_id", "doc_id"))
    )
    assert not again["score"].equals(whole["score"])


@pytest.mark.slow
def test_bm25_says_once_that_a_language_has_the_standard_analyzer(root, caplog):
    caplog.set_level("INFO")
    for split, language in (("dev", "en"), ("dev", "sw"), ("train", "sw")):
        made(bm25_fruit(split=split, language=language), root)
    said = "bm25: Lucene's standard analyzer, without stemming or stop words, for sw."
    assert [record.getMessage() for record in caplog.records if "analyzer" in record.getMessage()] == [said]


def test_parameters_of_bm25_are_in_the_fingerprint():
    assert bm25_fruit(Bm25Config(k1=1.2)).fingerprint != bm25_fruit().fingerprint


def test_member_of_the_ensemble_is_prepared_as_a_base_encoder_would_be():
    member = EnsembleEncoder(name="mini", model="some/model", max_query_tokens=32, dtype="bfloat16")
    base = EncoderConfig(model="some/model")
    prepared = [steps.prepare_encoder(config=config, digest="d").fingerprint for config in (member, base)]
    assert prepared[0] == prepared[1]


def test_encoder_is_the_same_however_its_folder_is_spelled(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tiny_encoder(tmp_path / "model", texts=TEXTS.values())
    shutil.copytree("model", "another")
    contents = set()
    for number, source in enumerate(("model", "./model", str(tmp_path / "model"), "another")):
        promise = steps.prepare_encoder(config=EncoderConfig(model=source), digest=model_digest(source))
        contents.add((promise.fingerprint, build(promise, f"{root}-{number}", SURROUNDINGS)[0].content))
    assert len(contents) == 1


def test_encoder_keeps_the_pooling_and_prompts_of_its_model_and_says_so(root, tmp_path, caplog):
    write_tiny_encoder(tmp_path / "model", pooling="cls", query_prompt="Q> ", document_prompt="")
    config = EncoderConfig(model=str(tmp_path / "model"))
    promise = steps.prepare_encoder(config=config.resolved(), digest=model_digest(config.model))
    with caplog.at_level("INFO", logger="polyloom"):
        build(promise, root, SURROUNDINGS)
    model = Path(promise.ref(root).uri) / "model"
    assert read_pooling(model) == "cls"
    assert read_prompts(model) == {"query": "Q> ", "document": ""}
    assert storage.load(promise.ref(root)).arguments["config"]["query_prompt"] == "Q> "
    assert 'cls pooling (by its files); "Q> " before queries, nothing before documents (by its files)' in caplog.text


def concatenate_fruit(**changed) -> Promise:
    systems = {f"tiny{seed}": search_fruit(seed, **(changed if seed else {})) for seed in (0, 1)}
    return steps.fuse_vectors(
        "en",
        candidates=list(systems.values()),
        documents={system: promise.inputs["documents"] for system, promise in systems.items()},
        vectors={system: promise.inputs["queries"] for system, promise in systems.items()},
        queries=make_questions("en", split="train"),
        config=FuseConfig(method="concat", standardise="none", top_k=2),
    )


def test_two_encoders_are_fused_as_one_whatever_their_shards(root):
    fused = made(concatenate_fruit(), root)
    parts = {seed: [made(promise(seed), root) for promise in (embed_fruit, search_fruit)] for seed in (0, 1)}
    asked = {seed: storage.read(search_fruit(seed).inputs["queries"].ref(root)) for seed in (0, 1)}
    documents, queries = (
        np.concatenate([frames[seed]["vector"].to_numpy().astype(float) for seed in (0, 1)], axis=1)
        for frames in ({seed: found[0] for seed, found in parts.items()}, asked)
    )
    for query, query_id in enumerate(asked[0]["id"]):
        order = np.argsort(-(documents @ queries[query]), kind="stable")[:2]
        assert fused.filter(query_id=query_id)["doc_id"].to_list() == [list(TEXTS)[row] for row in order]
    assert made(concatenate_fruit(shard_size=3), root).equals(fused)


def test_queries_in_batches_are_searched_and_fused_as_together(root, monkeypatch):
    found, fused = made(search_fruit(), root), made(concatenate_fruit(), root)
    for module in (task, embed_task, fuse_task):
        monkeypatch.setattr(module, "QUERIES_AT_ONCE", 1)
    for promise, whole in ((search_fruit(), found), (concatenate_fruit(), fused)):
        assert made(promise, f"{root}-2").equals(whole)
        assert len(storage.load(promise.ref(f"{root}-2")).parts) == 2


def test_search_goes_on_with_the_missing_batch(root, monkeypatch):
    monkeypatch.setattr(task, "QUERIES_AT_ONCE", 1)
    products, asked = task.products.faiss_products, []

    def fail_on_second(threads):
        asked.append(threads)
        if len(asked) == 2:
            raise KeyboardInterrupt("stop")
        return products(threads)

    monkeypatch.setattr("tasks.retrieve.products.faiss_products", fail_on_second)
    with pytest.raises(KeyboardInterrupt, match="stop"):
        made(search_fruit(), root)
    assert made(search_fruit(), root)["query_id"].unique(maintain_order=True).to_list() == ["t1", "t2"]
    assert len(asked) == 3  # batch 1, batch 2 that failed, batch 2


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_weights_embed_nearly_the_same(root, dtype):
    whole, half = made(embed_fruit(), root), made(embed_fruit(dtype=dtype), root)
    cosines = (whole["vector"].to_numpy().astype(float) * half["vector"].to_numpy().astype(float)).sum(axis=1)
    assert (cosines > 0.999).all()
    assert not half.equals(whole)


@declare(produces="embeddings")
def make_vectors(job: Job, *, number: int, seed: int) -> None:
    """Write random unit vectors in two parts."""
    vectors = np.random.default_rng(seed).normal(size=(number, 16))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    frame = pl.DataFrame({"id": [f"{seed}-{row:05}" for row in range(number)], "vector": pl.Series(vectors)})
    job.out.write(frame[: number // 2])
    job.out.write(frame[number // 2 :])


def search_many(number: int, **settings) -> Promise:
    asked, documents = make_vectors("en", number=20, seed=1), make_vectors("en", number=number, seed=2)
    return steps.search_dense("en", documents=documents, queries=asked, system="e", search=SEARCH, **settings)


def test_index_tells_its_recall(root, monkeypatch):
    monkeypatch.setattr(task, "_SAMPLED_QUERIES", 10)
    promise = search_many(10_000, index="IVF20,PQ4", parameters="nprobe=8")
    found, exact = made(promise, root), made(search_many(10_000), root)
    told = json.loads((storage.folder(promise.ref(root)) / "search" / "recall.json").read_text())
    sample = exact.filter(pl.col("query_id").is_in([f"1-{row:05}" for row in range(0, 20, 2)]))
    assert told["recall"] == round(sample.join(found, on=["query_id", "doc_id"], how="semi").height / sample.height, 6)
    assert 0.3 < told["recall"] < 1.0
    assert (told["index"], told["parameters"]) == ("IVF20,PQ4", "nprobe=8")
    assert (told["sampled_queries"], told["documents"]) == (10, 10_000)
    again = made(promise, f"{root}-2")
    assert again.equals(found)
    assert storage.load(promise.ref(f"{root}-2")).content == storage.load(promise.ref(root)).content


def test_sampled_queries_are_spread_over_the_batches(root, monkeypatch):
    promise = search_many(10_000, index="IVF20,Flat", parameters="nprobe=8")
    together = made(promise, root)
    told = [json.loads((storage.folder(promise.ref(root)) / "search" / "recall.json").read_text())]
    monkeypatch.setattr(task, "QUERIES_AT_ONCE", 7)
    assert made(promise, f"{root}-2").equals(together)
    told.append(json.loads((storage.folder(promise.ref(f"{root}-2")) / "search" / "recall.json").read_text()))
    assert told[0] == told[1]


def test_corpus_too_small_to_train_an_index_is_searched_exactly(root):
    promise = search_many(2000, index="IVF20,PQ4", parameters="nprobe=8")
    assert made(promise, root).equals(made(search_many(2000), root))
    assert storage.load(promise.ref(root)).files == []


DEBATE = {  # as in ArguAna: a query is a document, and the counter-argument is to be found
    "zoo-con": "Zoos should close since wild animals suffer in cages and learn nothing from visitors.",
    "zoo-pro": "Without zoos many wild animals would be extinct; cages today are large.",
    "car-con": "Cars should be banned from city centres as their smoke makes children ill.",
    "car-pro": "A ban on cars moves smoke to the suburbs, where more children live than in city centres.",
    "x": "Bread rises because yeast makes gas.",
}


@declare(produces="corpus")
def make_debate(job: Job) -> None:
    """Write arguments and their counter-arguments."""
    job.out.write(pl.DataFrame({"doc_id": list(DEBATE), "title": [""] * len(DEBATE), "text": list(DEBATE.values())}))


@declare(produces="queries")
def make_arguments(job: Job) -> None:
    """Write the arguments as queries, with their documents' ids."""
    rows = [(name, text, "dev", "given", None) for name, text in DEBATE.items() if name.endswith("con")]
    names = ["query_id", "text", "split", "origin", "parent"]
    job.out.write(pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row"))


def without_own(found: pl.DataFrame, depth: int) -> list[tuple[str, str, int]]:
    """Leave out a query's own document by hand."""
    rows = []
    for query_id in found["query_id"].unique().sort():
        others = [doc_id for doc_id in found.filter(query_id=query_id)["doc_id"] if doc_id != query_id]
        rows += [(query_id, doc_id, rank) for rank, doc_id in enumerate(others[:depth], 1)]
    return rows


@pytest.mark.slow
def test_bm25_leaves_out_the_querys_own_document_where_it_is_told_to(root):
    settings = {"analyzer": "lucene:en", "text": "title_and_text", "config": Bm25Config()}
    asked = {"corpus": make_debate("en"), "queries": make_arguments("en")}
    plain = made(steps.retrieve_bm25("en", **asked, **settings, search=SearchConfig(depth=3)), root)
    assert plain.filter(rank=1).select("query_id", "doc_id").rows() == [("car-con", "car-con"), ("zoo-con", "zoo-con")]
    found = made(
        steps.retrieve_bm25("en", **asked, **settings, search=SearchConfig(depth=2), ignore_own_document=True), root
    )
    assert found.filter(rank=1).select("query_id", "doc_id").rows() == [("car-con", "car-pro"), ("zoo-con", "zoo-pro")]
    assert found.select("query_id", "doc_id", "rank").rows() == without_own(plain, 2)


@pytest.mark.parametrize("index", [{}, {"index": "IVF20,Flat", "parameters": "nprobe=20"}])
def test_dense_search_leaves_out_the_querys_own_document_and_is_as_deep_all_the_same(root, index):
    vectors = make_vectors("en", number=1000, seed=2)
    asked = {"documents": vectors, "queries": vectors, "system": "e"}
    deeper = made(steps.search_dense("en", **asked, search=SearchConfig(depth=4)), root)
    assert (deeper.filter(rank=1)["query_id"] == deeper.filter(rank=1)["doc_id"]).all()
    found = made(steps.search_dense("en", **asked, search=SEARCH, **index, ignore_own_document=True), root)
    assert found.height == 3000
    assert found.select("query_id", "doc_id", "rank").rows() == without_own(deeper, 3)


def test_exact_fusion_leaves_out_the_querys_own_document(root):
    def fused(top_k, **own):
        found = [
            steps.search_dense(
                "en",
                documents=embed_fruit(seed),
                queries=embed_fruit(seed),
                system=f"tiny{seed}",
                search=SEARCH,
                **own,
            )
            for seed in (0, 1)
        ]
        vectors = {f"tiny{seed}": embed_fruit(seed) for seed in (0, 1)}
        config = FuseConfig(method="concat", standardise="none", top_k=top_k)
        return made(
            steps.fuse_vectors(
                "en",
                candidates=found,
                documents=vectors,
                vectors=vectors,
                queries=make_asked("en"),
                config=config,
                **own,
            ),
            root,
        )

    found = fused(2, ignore_own_document=True)
    assert found.select("query_id", "doc_id", "rank").rows() == without_own(fused(3), 2)


@declare(produces="queries")
def make_asked(job: Job) -> None:
    """Write the documents as queries."""
    rows = [(name, text, "train", "given", None) for name, text in TEXTS.items()]
    names = ["query_id", "text", "split", "origin", "parent"]
    job.out.write(pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row"))
