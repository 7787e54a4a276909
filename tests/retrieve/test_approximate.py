"""IVF-PQ: what it finds is ranked exactly, repeats exactly, and its recall is measured."""

import numpy as np
import polars as pl
import pytest

from tasks.retrieve.approximate import FEWEST, build_index, divisor, search_approximately
from tasks.retrieve.products import faiss_products
from tasks.retrieve.recall import count_hits, search_with_sample, spread
from tasks.retrieve.search import search_shards

SIZE, DEPTH = 16, 10


def embeddings(prefix: str, vectors: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"{prefix}{row:05}" for row in range(len(vectors))], "vector": pl.Series(vectors)})


def clustered(number: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(200, SIZE))
    vectors = centres[rng.integers(200, size=number)] + 0.5 * rng.normal(size=(number, SIZE))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


DOCUMENTS, QUERIES = embeddings("d", clustered(12_000, 1)), embeddings("q", clustered(150, 2))


def shards(size: int):
    return lambda: DOCUMENTS.iter_slices(size)


def build(shard_size: int = 12_000, threads: int = 1, **settings):
    plain = {"num_lists": 50, "code_bytes": 8, "seed": 0}
    return build_index(shards(shard_size), DOCUMENTS.height, threads=threads, **plain | settings)


@pytest.fixture(scope="module")
def index():
    return build()


def search(index, shard_size: int = 12_000, threads: int = 1, **settings) -> pl.DataFrame:
    plain = {"depth": DEPTH, "num_probes": 10, "num_candidates": 100}
    return search_approximately(
        shards(shard_size), QUERIES, index, system="e5", threads=threads, advance=lambda done: None, **plain | settings
    )


@pytest.fixture(scope="module")
def exact() -> pl.DataFrame:
    return search_shards(
        shards(5000)(), QUERIES, system="e5", depth=DEPTH, top_products=faiss_products(1), advance=lambda done: None
    )


def test_everything_probed_and_ranked_is_the_exact_search(index, exact, monkeypatch):
    monkeypatch.setitem(globals(), "QUERIES", QUERIES[:12])
    found = search(index, num_probes=50, num_candidates=12_000)
    assert found.equals(exact.filter(pl.col("query_id").is_in(QUERIES["id"].implode())))


def test_few_probes_find_most_and_rank_them_by_the_stored_vectors(index, exact):
    found = search(index)
    recall = count_hits(found, exact) / exact.height
    assert 0.8 < recall < 1.0
    both = found.join(exact, on=["query_id", "doc_id"])
    assert both["score"].equals(both["score_right"])
    assert (both["rank"] <= both["rank_right"]).all()


def test_more_probes_find_more(index, exact):
    hits = [count_hits(search(index, num_probes=number), exact) for number in (1, 4, 16)]
    assert hits == sorted(hits)
    assert hits[0] < hits[-1]


def test_same_bytes_for_any_threads_and_shards(index):
    expected = search(index)
    assert search(build(shard_size=777, threads=3), shard_size=1000, threads=2).equals(expected)


def test_seed_decides(index):
    assert not search(build(seed=1)).equals(search(index))


def test_bytes_per_document_divide_the_vectors_size():
    assert [divisor(384, at_most) for at_most in (1, 50, 64, 1000)] == [1, 48, 64, 384]


def test_too_few_documents_are_an_error():
    with pytest.raises(ValueError, match=f"expected at least {FEWEST} documents to train on, got 100"):
        build_index(shards(100), 100, num_lists=None, code_bytes=8, seed=0, threads=1)


def test_count_hits_by_hand():
    frame = pl.DataFrame({"query_id": ["a", "a", "b"], "doc_id": ["1", "2", "1"]})
    assert count_hits(frame[1:], frame) == 2


def test_spread_takes_equal_distances_and_no_position_twice():
    assert spread(10, 3) == [0, 3, 6]
    assert spread(2, 5) == [0, 1]
    assert spread(0, 5) == []


def test_sampled_queries_are_searched_exactly_too_whatever_the_batches(index, exact):
    pairs = list(
        search_with_sample(
            shards(5000),
            QUERIES.iter_slices(60),
            index,
            sample=[0, 59, 60, 149],
            system="e5",
            depth=DEPTH,
            num_probes=10,
            num_candidates=100,
            threads=1,
            top_products=faiss_products(1),
            advance=lambda done: None,
        )
    )
    assert pl.concat([found for found, _ in pairs]).equals(search(index))
    sampled = pl.concat([sample for _, sample in pairs])
    assert sampled.equals(exact.filter(pl.col("query_id").is_in(["q00000", "q00059", "q00060", "q00149"])))
