"""Dense search equals a plain search over everything, whatever the shards."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.retrieve.search import search_shards

CANDIDATES = {"query_id": pl.String, "doc_id": pl.String, "system": pl.String, "rank": pl.Int32, "score": pl.Float32}


def embeddings(ids: list[str], vectors) -> pl.DataFrame:
    half = np.asarray(vectors, dtype=np.float16).reshape(len(ids), -1)
    return pl.DataFrame({"id": pl.Series(ids, dtype=pl.String), "vector": pl.Series(half)})


def random_embeddings(prefix: str, number: int, size: int, seed: int) -> pl.DataFrame:
    vectors = np.random.default_rng(seed).normal(size=(number, size))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return embeddings([f"{prefix}{position * 7 % number}" for position in range(number)], vectors)


def search(documents: pl.DataFrame, queries: pl.DataFrame, *, depth: int, shard_size: int) -> pl.DataFrame:
    return search_shards(
        documents.iter_slices(shard_size), queries, system="e5", depth=depth, threads=1, advance=lambda done: None
    )


def plain_search(documents: pl.DataFrame, queries: pl.DataFrame, depth: int) -> list[tuple[str, str, str, int]]:
    rows = []
    vectors = [[float(number) for number in vector] for vector in documents["vector"].to_list()]
    for query_id, query in sorted(zip(queries["id"], queries["vector"].to_list(), strict=True)):
        scores = [sum(a * b for a, b in zip(query, vector, strict=True)) for vector in vectors]
        best = sorted(zip([-score for score in scores], documents["id"], strict=True))[:depth]
        rows += [(query_id, doc_id, "e5", rank) for rank, (_, doc_id) in enumerate(best, 1)]
    return rows


def test_ranks_by_inner_product_by_hand():
    documents = embeddings(["a", "b", "c"], [[1, 0], [0.5, 0.5], [0, -1]])
    found = search(documents, embeddings(["q"], [[1, 0.5]]), depth=2, shard_size=2)
    assert found.rows() == [("q", "a", "e5", 1, 1.0), ("q", "b", "e5", 2, 0.75)]
    assert found.schema == CANDIDATES


# eighths make many equal scores
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(-4, 4), min_size=3, max_size=3), min_size=1, max_size=40),
    st.lists(st.lists(st.integers(-4, 4), min_size=3, max_size=3), min_size=1, max_size=4),
    st.integers(1, 45),
    st.integers(1, 12),
)
def test_equals_a_plain_search_for_any_shard_size(document, query, shard_size, depth):
    documents = embeddings([f"d{number}" for number in range(len(document))], np.array(document) / 8)
    queries = embeddings([f"q{number}" for number in range(len(query))], np.array(query) / 8)
    found = search(documents, queries, depth=depth, shard_size=shard_size)
    assert found.drop("score").rows() == plain_search(documents, queries, depth)


def test_same_bytes_for_any_shard_size_on_real_sizes():
    documents, queries = random_embeddings("d", 1500, 64, seed=1), random_embeddings("q", 30, 64, seed=2)
    whole = search(documents, queries, depth=100, shard_size=1500)
    assert whole.drop("score").rows() == plain_search(documents, queries, 100)
    for shard_size in (99, 1234, 1501):
        assert search(documents, queries, depth=100, shard_size=shard_size).equals(whole)


def test_more_equal_documents_than_faiss_is_first_asked_for():
    ids = [f"d{number:04}" for number in range(900)]
    documents = embeddings(ids, [[0.6, 0.8]] * 900)[::-1]
    found = search(documents, embeddings(["q"], [[1, 0]]), depth=10, shard_size=700)
    assert found["doc_id"].to_list() == ids[:10]
    assert found["score"].n_unique() == 1


def test_scores_are_exact_where_float32_is_not():
    # (1 + 2^-10)^2 = 1 + 2^-9 + 2^-20 and 2^-24: the sums differ in their 25th bit
    near = embeddings(["b", "a"], [[1 + 2**-10, 2**-12], [1 + 2**-10, 0]])
    found = search(near, embeddings(["q"], [[1 + 2**-10, 2**-12]]), depth=2, shard_size=5)
    assert found["doc_id"].to_list() == ["b", "a"]


def test_document_of_the_querys_id_is_not_dropped():
    found = search(embeddings(["7"], [[1, 0]]), embeddings(["7"], [[1, 0]]), depth=3, shard_size=1)
    assert found["doc_id"].to_list() == ["7"]


def test_no_documents_or_no_queries_give_an_empty_table():
    some, none = embeddings(["a"], [[1, 0]]), embeddings(["a"], [[1, 0]])[:0]
    assert search(none, some, depth=3, shard_size=2).schema == CANDIDATES
    assert search(some, none, depth=3, shard_size=2).is_empty()


def test_progress_counts_documents():
    told = []
    documents = random_embeddings("d", 5, 4, seed=3)
    search_shards(documents.iter_slices(2), documents, system="e5", depth=1, threads=1, advance=told.append)
    assert told == [2, 4, 5]


def test_vectors_of_different_encoders_are_an_error():
    with pytest.raises(ValueError, match="got vectors of 2 and 3 numbers"):
        search(embeddings(["d"], [[1, 0]]), embeddings(["q"], [[1, 0, 0]]), depth=1, shard_size=1)
