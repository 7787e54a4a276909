"""An inverted file of faiss: what it finds is ranked exactly, and repeats exactly."""

import functools

import faiss
import numpy as np
import polars as pl
import pytest

from tasks.retrieve.inverted_file import build_index, num_trained_on, search_index
from tasks.retrieve.products import faiss_products
from tasks.retrieve.search import search_shards

SIZE, DEPTH = 16, 10
INDEX = "IVF50,PQ4"


def embeddings(prefix: str, vectors: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"{prefix}{row:05}" for row in range(len(vectors))], "vector": pl.Series(vectors)})


def clustered(number: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(200, SIZE))
    vectors = centres[rng.integers(200, size=number)] + 0.5 * rng.normal(size=(number, SIZE))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


DOCUMENTS, QUERIES = embeddings("d", clustered(10_000, 1)), embeddings("q", clustered(150, 2))


def search(
    index: str = INDEX,
    parameters: str = "nprobe=10",
    depth: int = DEPTH,
    queries: pl.DataFrame = QUERIES,
    build_shards: int = 10_000,
    search_shards: int = 10_000,
    threads: int = 1,
) -> pl.DataFrame:
    made = build(index, parameters, build_shards, threads)
    shards = DOCUMENTS.iter_slices(search_shards)
    return search_index(shards, queries, made, system="e5", depth=depth, threads=threads)


@functools.cache
def build(index: str, parameters: str, shard_size: int, threads: int) -> faiss.Index:
    return build_index(
        lambda: DOCUMENTS.iter_slices(shard_size), DOCUMENTS.height, index=index, parameters=parameters, threads=threads
    )


@pytest.fixture(scope="module")
def approximate() -> pl.DataFrame:
    return search()


@pytest.fixture(scope="module")
def exact() -> pl.DataFrame:
    shards = DOCUMENTS.iter_slices(5000)
    products = faiss_products(1)
    return search_shards(
        shards, QUERIES, system="e5", depth=DEPTH, top_products=products, advance=lambda done: None
    )  # fmt: skip


def recall(found: pl.DataFrame, exact: pl.DataFrame) -> float:
    return exact.join(found, on=["query_id", "doc_id"], how="semi").height / exact.height


def test_all_lists_of_whole_vectors_give_the_exact_search(exact):
    assert search("IVF50,Flat", "nprobe=50").equals(exact)


def test_few_lists_give_most_and_rank_them_by_the_stored_vectors(approximate, exact):
    assert 0.7 < recall(approximate, exact) < 1.0
    both = approximate.join(exact, on=["query_id", "doc_id"])
    assert both["score"].equals(both["score_right"])
    assert (both["rank"] <= both["rank_right"]).all()


def test_more_lists_find_more(exact):
    reached = [recall(search("IVF50,SQ8", f"nprobe={number}"), exact) for number in (1, 4, 16)]
    assert reached == sorted(reached)
    assert reached[0] < reached[-1]


def test_same_bytes_again_and_for_any_threads_and_shards(approximate):
    assert search(build_shards=777, search_shards=1000, threads=3).equals(approximate)


def test_queries_in_batches_are_searched_as_together(approximate):
    assert pl.concat([search(queries=batch) for batch in QUERIES.iter_slices(64)]).equals(approximate)


def test_lists_that_hold_fewer_documents_than_are_asked_for_give_what_they_hold():
    found = search("IVF100,Flat", "nprobe=1", depth=1000, queries=QUERIES[:5])
    assert 0 < found.height < 5000
    assert found.null_count().sum_horizontal().item() == 0


def test_codes_that_do_not_divide_the_vectors_are_an_error_that_names_the_setting():
    message = r"expected an index for vectors of 16 numbers, got 'IVF50,PQ5', .* Change retrieve.search.index"
    with pytest.raises(ValueError, match=message):
        search("IVF50,PQ5")


def test_documents_trained_on_grow_with_the_lists_from_those_of_a_byte_on():
    assert [num_trained_on(index) for index in ("IVF50,PQ4", "IVF4096,SQ8")] == [39 * 256, 64 * 4096]


def test_queries_of_another_encoder_are_an_error():
    with pytest.raises(ValueError, match="expected queries of 16 numbers, as the documents, got 8. Embed both with"):
        search("IVF50,Flat", "nprobe=50", queries=embeddings("q", np.ones((2, 8), np.float16)))
