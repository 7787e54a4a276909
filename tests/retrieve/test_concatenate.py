"""Fusing by concatenation equals a plain numpy search with the scaled unit vectors side by side."""

import numpy as np
import polars as pl
import pytest

from tasks.retrieve.concatenate import concatenate_encoders
from tasks.retrieve.fuse import fuse_candidates, language_moments
from tasks.retrieve.products import faiss_products, torch_products
from tasks.retrieve.search import search_shards

SIZES = {"small": 16, "large": 24}
DOCUMENTS, QUERIES = 400, 12
WEIGHTS = {"small": 0.5, "large": 2.0}


def unit_vectors(number: int, size: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(number, size))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def embeddings(prefix: str, vectors: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"{prefix}{row:03}" for row in range(len(vectors))], "vector": pl.Series(vectors)})


DOCUMENT = {system: unit_vectors(DOCUMENTS, size, size) for system, size in SIZES.items()}
QUERY = {system: unit_vectors(QUERIES, size, size + 1) for system, size in SIZES.items()}


def shards(size: int):
    frames = {system: embeddings("d", vectors) for system, vectors in DOCUMENT.items()}
    return lambda: ({name: frame[at : at + size] for name, frame in frames.items()} for at in range(0, DOCUMENTS, size))


def found_by_vectors(depth: int) -> pl.DataFrame:
    return pl.concat(
        search_shards(
            [embeddings("d", DOCUMENT[system])],
            embeddings("q", QUERY[system]),
            system=system,
            depth=depth,
            top_products=faiss_products(1),
            advance=lambda done: None,
        )
        for system in SIZES
    )


def found_by_terms() -> pl.DataFrame:
    """Some documents at the end of the ids, with scores of another unit."""
    rows = [
        (f"q{query:03}", f"d{DOCUMENTS - 1 - 7 * query - rank:03}", "bm25", rank, 20.0 - 3 * rank + query / 4)
        for query in range(1, QUERIES)  # nothing for the first query
        for rank in range(1, 6)
    ]
    return pl.DataFrame(rows, schema=found_by_vectors(1).schema, orient="row")


def concatenate(candidates: pl.DataFrame, *, shard_size: int = 130, engine=None, **settings) -> pl.DataFrame:
    plain = {"standardise": "language", "weights": WEIGHTS, "top_k": 9}
    return concatenate_encoders(
        shards(shard_size),
        {system: embeddings("q", vectors) for system, vectors in QUERY.items()},
        candidates,
        moments=language_moments([candidates]),
        top_products=engine or faiss_products(1),
        advance=lambda done: None,
        **plain | settings,
    )


def numpy_concatenation(scales: dict[str, float]) -> np.ndarray:
    """Inner products of concatenations whose parts are scaled by the root of their scale, [Q, N]."""
    parts = [(QUERY[name], DOCUMENT[name], np.sqrt(scale)) for name, scale in scales.items()]
    query = np.concatenate([query.astype(float) * root for query, _, root in parts], axis=1)
    document = np.concatenate([document.astype(float) * root for _, document, root in parts], axis=1)
    return query @ document.T


def deviations(candidates: pl.DataFrame) -> dict[str, float]:
    return {name: np.std(candidates.filter(system=name)["score"].to_numpy().astype(float)) for name in SIZES}


def test_plain_weights_give_the_top_of_the_numpy_concatenation():
    fused = concatenate(found_by_vectors(20), standardise="none")
    expected = numpy_concatenation(WEIGHTS)
    for query in range(QUERIES):
        rows = fused.filter(query_id=f"q{query:03}")
        best = np.argsort(-expected[query], kind="stable")[:9]
        assert rows["doc_id"].to_list() == [f"d{row:03}" for row in best]
        assert rows["score"].to_list() == pytest.approx(expected[query][best].tolist(), rel=1e-6)


def test_standardised_weights_give_it_up_to_a_constant():
    candidates = found_by_vectors(20)
    fused = concatenate(candidates)
    expected = numpy_concatenation({name: WEIGHTS[name] / one for name, one in deviations(candidates).items()})
    constants = []
    for query in range(QUERIES):
        rows = fused.filter(query_id=f"q{query:03}")
        best = np.argsort(-expected[query], kind="stable")[:9]
        assert rows["doc_id"].to_list() == [f"d{row:03}" for row in best]
        constants += (expected[query][best] - rows["score"].to_numpy()).tolist()
    assert constants == pytest.approx([constants[0]] * len(constants), abs=1e-4)


@pytest.mark.parametrize("standardise", ["language", "query"])
def test_equals_fused_z_scores_where_every_system_returned_every_document(standardise):
    candidates = found_by_vectors(DOCUMENTS)
    settings = {"standardise": standardise, "weights": WEIGHTS, "top_k": 9}
    z_scores = fuse_candidates(candidates, method="z_score", **settings)
    exact = concatenate(candidates, **settings)
    assert exact.drop("score", "systems").equals(z_scores.drop("score", "systems"))
    np.testing.assert_allclose(exact["score"], z_scores["score"], rtol=1e-4)


def test_finds_what_no_system_returned_alone():
    candidates = found_by_vectors(2)
    fused = concatenate(candidates, standardise="none").select("query_id", "doc_id")
    assert fused.join(candidates, on=["query_id", "doc_id"], how="anti").height > 0


def test_terms_join_with_their_lowest_for_what_they_did_not_return():
    dense, terms = found_by_vectors(20), found_by_terms()
    fused = concatenate(pl.concat([dense, terms]), weights=WEIGHTS | {"bm25": 1.5}, top_k=15)
    expected = numpy_concatenation({name: WEIGHTS[name] / one for name, one in deviations(dense).items()})
    score = terms["score"].to_numpy().astype(float)
    for query in range(QUERIES):
        total = expected[query].copy()
        own = terms.filter(query_id=f"q{query:03}")
        standard = 1.5 * (own["score"].to_numpy() - score.mean()) / score.std()
        total += min(standard, default=0.0)
        rows = [int(doc_id[1:]) for doc_id in own["doc_id"]]
        total[rows] += standard - min(standard, default=0.0)
        best = np.argsort(-total, kind="stable")[:15]
        assert fused.filter(query_id=f"q{query:03}")["doc_id"].to_list() == [f"d{row:03}" for row in best]


def test_terms_are_told_of_but_do_not_count_without_standardising():
    dense, terms = found_by_vectors(20), found_by_terms()
    with_terms = concatenate(pl.concat([dense, terms]), standardise="none", top_k=DOCUMENTS)
    alone = concatenate(dense, standardise="none", top_k=DOCUMENTS)
    assert with_terms.drop("systems").equals(alone.drop("systems"))
    told = with_terms.explode("systems").unnest("systems", separator=":").filter(pl.col("systems:system") == "bm25")
    assert told["systems:rank"].drop_nulls().len() == terms.height


def test_tells_rank_where_returned_and_score_of_every_encoder():
    candidates = pl.concat([found_by_vectors(3), found_by_terms()])
    row = concatenate(candidates, weights=WEIGHTS | {"bm25": 50.0}).filter(query_id="q001", rank=1).row(0, named=True)
    assert row["doc_id"] == "d391"  # the best by terms, far down by vectors
    products = {name: QUERY[name][1].astype(float) @ DOCUMENT[name][391].astype(float) for name in SIZES}
    assert row["systems"] == [
        {"system": "bm25", "rank": 1, "score": 17.25},
        {"system": "large", "rank": None, "score": pytest.approx(products["large"], rel=1e-6)},
        {"system": "small", "rank": None, "score": pytest.approx(products["small"], rel=1e-6)},
    ]


def test_same_bytes_for_any_shard_size_order_and_engine():
    candidates = pl.concat([found_by_vectors(20), found_by_terms()])
    expected = concatenate(candidates, shard_size=DOCUMENTS)
    assert concatenate(candidates, shard_size=37).equals(expected)
    assert concatenate(candidates, engine=torch_products("cpu")).equals(expected)
    assert concatenate(candidates.sample(fraction=1.0, shuffle=True, seed=3)).equals(expected)


def test_equal_scores_rank_by_doc_id():
    same = embeddings("d", np.full((5, 2), 0.5))[::-1]
    query = embeddings("q", np.array([[1.0, 0.0]]))
    fused = concatenate_encoders(
        lambda: [{"a": same, "b": same}],
        {"a": query, "b": query},
        found_by_vectors(1).clear(),
        standardise="none",
        moments={},
        weights={},
        top_k=3,
        top_products=faiss_products(1),
        advance=lambda done: None,
    )
    assert fused["doc_id"].to_list() == ["d000", "d001", "d002"]
    assert fused["score"].to_list() == [1.0, 1.0, 1.0]


def test_system_with_equal_scores_says_nothing():
    flat = found_by_vectors(20).with_columns(
        pl.when(pl.col("system") == "small").then(0.5).otherwise("score").cast(pl.Float32).alias("score")
    )
    alone = concatenate(found_by_vectors(20), weights={"small": 0.0, "large": 1.0})
    assert concatenate(flat, weights={}).drop("systems").equals(alone.drop("systems"))


def test_encoders_with_other_documents_are_an_error():
    one, other = embeddings("d", DOCUMENT["small"]), embeddings("e", DOCUMENT["large"])
    with pytest.raises(ValueError, match="expected the same rows for every encoder, got others for 'small'"):
        concatenate_encoders(
            lambda: [{"large": other, "small": one}],
            {system: embeddings("q", vectors) for system, vectors in QUERY.items()},
            found_by_vectors(1),
            standardise="none",
            moments={},
            weights={},
            top_k=3,
            top_products=faiss_products(1),
            advance=lambda done: None,
        )


def test_candidate_that_is_no_document_is_an_error():
    stray = found_by_terms().with_columns(doc_id=pl.lit("gone"))
    with pytest.raises(ValueError, match="expected a vector of every candidate, got none of 'gone'"):
        concatenate(pl.concat([found_by_vectors(5), stray.unique("query_id")]))


def test_moments_of_parts_are_those_of_the_whole():
    frame = pl.concat([found_by_vectors(20), found_by_terms()])
    moments = language_moments(frame.iter_slices(101))
    for system, (mean, deviation) in moments.items():
        score = frame.filter(system=system)["score"].to_numpy().astype(float)
        assert (mean, deviation) == pytest.approx((score.mean(), score.std()))
