"""Dense search equals a plain search over everything, whatever the shards."""

import faiss
import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.retrieve.products import faiss_products, top_products, torch_products
from tasks.retrieve.search import search_shards
from tasks.retrieve.torch_products import TorchProducts

CANDIDATES = {"query_id": pl.String, "doc_id": pl.String, "system": pl.String, "rank": pl.Int32, "score": pl.Float32}


def embeddings(ids: list[str], vectors) -> pl.DataFrame:
    half = np.asarray(vectors, dtype=np.float16).reshape(len(ids), -1)
    return pl.DataFrame({"id": pl.Series(ids, dtype=pl.String), "vector": pl.Series(half)})


def random_embeddings(prefix: str, number: int, size: int, seed: int) -> pl.DataFrame:
    vectors = np.random.default_rng(seed).normal(size=(number, size))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return embeddings([f"{prefix}{position * 7 % number}" for position in range(number)], vectors)


ENGINES = {"faiss": faiss_products(1), "torch": torch_products("cpu")}


def search(
    documents: pl.DataFrame, queries: pl.DataFrame, *, depth: int, shard_size: int, engine: str = "faiss"
) -> pl.DataFrame:
    return search_shards(
        documents.iter_slices(shard_size),
        queries,
        system="e5",
        depth=depth,
        top_products=ENGINES[engine],
        advance=lambda done: None,
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
    st.sampled_from(sorted(ENGINES)),
)
def test_equals_a_plain_search_for_any_shard_size_and_engine(document, query, shard_size, depth, engine):
    documents = embeddings([f"d{number}" for number in range(len(document))], np.array(document) / 8)
    queries = embeddings([f"q{number}" for number in range(len(query))], np.array(query) / 8)
    found = search(documents, queries, depth=depth, shard_size=shard_size, engine=engine)
    assert found.drop("score").rows() == plain_search(documents, queries, depth)


@pytest.fixture(scope="module")
def real_sizes() -> tuple[pl.DataFrame, pl.DataFrame]:
    return random_embeddings("d", 1500, 64, seed=1), random_embeddings("q", 30, 64, seed=2)


@pytest.fixture(scope="module")
def whole(real_sizes) -> pl.DataFrame:
    return search(*real_sizes, depth=100, shard_size=1500)


def test_equals_a_plain_search_on_real_sizes(real_sizes, whole):
    assert whole.drop("score").rows() == plain_search(*real_sizes, 100)


@pytest.mark.parametrize("engine", sorted(ENGINES))
@pytest.mark.parametrize("shard_size", [99, 1234, 1501])
def test_same_bytes_for_any_shard_size_and_engine(real_sizes, whole, shard_size, engine):
    assert search(*real_sizes, depth=100, shard_size=shard_size, engine=engine).equals(whole)


def test_same_bytes_whether_queries_come_together_or_apart(real_sizes, whole):
    documents, queries = real_sizes
    batches = [search(documents, batch, depth=100, shard_size=400) for batch in queries.sort("id").iter_slices(7)]
    assert pl.concat(batches).equals(whole)


def test_torch_in_blocks_of_queries_gives_the_same(real_sizes, whole, monkeypatch):
    monkeypatch.setattr("tasks.retrieve.torch_products._PRODUCTS", 4000)
    assert search(*real_sizes, depth=100, shard_size=700, engine="torch").equals(whole)


def test_torch_computes_without_tf32_and_restores_the_setting(real_sizes, whole):
    torch.set_float32_matmul_precision("medium")
    try:
        assert search(*real_sizes, depth=100, shard_size=700, engine="torch").equals(whole)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_same_bytes_on_cuda(real_sizes, whole, monkeypatch):
    monkeypatch.setitem(ENGINES, "cuda", torch_products("cuda"))
    assert search(*real_sizes, depth=100, shard_size=700, engine="cuda").equals(whole)


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_more_equal_documents_than_are_first_asked_for(engine):
    ids = [f"d{number:04}" for number in range(900)]
    documents = embeddings(ids, [[0.6, 0.8]] * 900)[::-1]
    found = search(documents, embeddings(["q"], [[1, 0]]), depth=10, shard_size=700, engine=engine)
    assert found["doc_id"].to_list() == ids[:10]
    assert found["score"].n_unique() == 1


def test_scores_are_exact_where_float32_is_not():
    # (1 + 2^-10)^2 = 1 + 2^-9 + 2^-20 and 2^-24: the sums differ in their 25th bit
    near = embeddings(["b", "a"], [[1 + 2**-10, 2**-12], [1 + 2**-10, 0]])
    found = search(near, embeddings(["q"], [[1 + 2**-10, 2**-12]]), depth=2, shard_size=5)
    assert found["doc_id"].to_list() == ["b", "a"]


class OneByOne:
    """Multiplies in float32 and adds up from the first number to the last, as an engine may."""

    ahead = True
    dtype = np.float32

    def __init__(self, query_QD):
        self.query_QD = query_QD

    def of(self, document_ND):
        return lambda query_P, number: self.best(self.query_QD[query_P], document_ND, number)

    @staticmethod
    def best(query_PD, document_ND, number):
        sums = [[np.add.accumulate(q * d)[-1] for d in document_ND] for q in query_PD]
        product_PN = np.array(sums, dtype=np.float32)
        order_PN = np.argsort(-product_PN, axis=1, kind="stable")[:, :number]
        return np.take_along_axis(product_PN, order_PN, axis=1), order_PN


def test_a_document_that_float32_ranks_too_low_is_found(monkeypatch):
    # 1 + 63 * 2^-25 is 1 where each 2^-25 is lost in the sum: less than 1 + 15 * 2^-23, but more in truth
    monkeypatch.setitem(ENGINES, "one by one", OneByOne)
    query = [1] + [2**-12] * 63
    low, high = [1] + [2**-13] * 63, [1, 15 * 2**-11] + [0] * 62
    documents = embeddings(["low", "high"], [low, high])
    assert OneByOne.best(*(np.array(rows, np.float32) for rows in ([query], [low, high])), 2)[1].tolist() == [[1, 0]]
    found = search(documents, embeddings(["q"], [query]), depth=1, shard_size=2, engine="one by one")
    assert found["doc_id"].to_list() == ["low"]


def test_a_shard_whose_best_float32_ranks_too_low_is_searched(monkeypatch):
    monkeypatch.setitem(ENGINES, "one by one", OneByOne)
    query = [1] + [2**-12] * 63
    low, high = [1] + [2**-13] * 63, [1, 15 * 2**-11] + [0] * 62
    documents = embeddings(["high", "low"], [high, low])
    found = search(documents, embeddings(["q"], [query]), depth=1, shard_size=1, engine="one by one")
    assert found["doc_id"].to_list() == ["low"]


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
    search_shards(
        documents.iter_slices(2),
        documents,
        system="e5",
        depth=1,
        top_products=ENGINES["faiss"],
        advance=told.append,
    )
    assert told == [2, 2, 1]


def test_vectors_of_different_encoders_are_an_error():
    with pytest.raises(ValueError, match="got vectors of 2 and 3 numbers"):
        search(embeddings(["d"], [[1, 0]]), embeddings(["q"], [[1, 0, 0]]), depth=1, shard_size=1)


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_of_any_number_searches_itself(device):
    chosen = top_products(device, 1)
    assert (chosen.func, chosen.args) == (TorchProducts, (device,))
    assert not isinstance(top_products("cpu", 1)(np.eye(2, dtype=np.float32)), TorchProducts)


def test_too_large_a_shard_names_the_setting():
    products = TorchProducts("cpu", np.eye(2, dtype=np.float32))
    huge_ND = np.lib.stride_tricks.as_strided(np.zeros(2, dtype=np.float16), (2**44, 2), (0, 2))
    with pytest.raises(RuntimeError, match=r"^search: expected .* got '.*allocate.*'. Lower retrieve.shard_size.$"):
        products.of(huge_ND)


def test_search_leaves_the_callers_threads_as_they_were():
    """A network that computes in the same thread afterwards would add its numbers up in another order."""
    before = faiss.omp_get_max_threads()
    vectors = np.eye(4, dtype=np.float32)
    faiss_products(before + 1)(vectors).of(vectors)(np.arange(4), 2)
    assert faiss.omp_get_max_threads() == before
