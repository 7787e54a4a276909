"""What tuned layers say of pairs: relative to the pool, beside references, and of no other query."""

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from support.tiny_model import write_tiny_encoder

from tasks.denoise.closeness import find_closeness
from tasks.denoise.tune import TEMPERATURE
from tasks.models.encoder import Encoder

DOCUMENTS = {
    "answer": "Kenya. Shops take shillings.",
    "again": "Prices are marked in shillings.",
    "near": "Kenya has a coast. Rain falls.",
    "far": "Horses eat bread.",
}
LIMITS = {"max_query_tokens": 32, "max_document_tokens": 64, "batch_tokens": 512}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    words = " ".join(DOCUMENTS.values()).replace(".", " . ").split()
    return Encoder.load(write_tiny_encoder(tmp_path_factory.mktemp("encoder"), texts=words), device="cpu")


def rows(relevance: dict[str, int], query: str = "Kenya shillings", outside: tuple[str, ...] = ()) -> pl.DataFrame:
    found = [(query, doc, query, text, relevance.get(doc), doc not in outside) for doc, text in DOCUMENTS.items()]
    schema = {"query_id": pl.String, "doc_id": pl.String, "query": pl.String, "document": pl.String}
    return pl.DataFrame(found, schema=schema | {"relevance": pl.Int32, "in_pool": pl.Boolean}, orient="row")


def closeness(encoder: Encoder, table: pl.DataFrame) -> NDArray[np.float32]:
    return find_closeness(table, encoder, **LIMITS)


def embed_sentences(encoder: Encoder, text: str) -> NDArray[np.float32]:
    sentences = [part.strip() + "." for part in text.split(".") if part.strip()]
    return encoder.embed(sentences, role="document", max_tokens=64, batch_tokens=512)


def test_without_a_reference_it_is_the_soft_maximum_less_half_the_pools_mean(encoder: Encoder):
    query = encoder.embed(["Kenya shillings"], role="query", max_tokens=32, batch_tokens=512)[0]
    logits = []
    for text in DOCUMENTS.values():
        logits.append(np.logaddexp.reduce(embed_sentences(encoder, text) @ query / TEMPERATURE))
    expected = np.array(logits) - 0.5 * np.mean(logits)
    np.testing.assert_allclose(closeness(encoder, rows({})), expected, atol=1e-3)


def test_beside_a_reference_its_sentences_count_by_how_well_they_answer(encoder: Encoder):
    alone, beside = closeness(encoder, rows({})), closeness(encoder, rows({"answer": 1}))
    assert beside[0] == alone[0]  # the reference is not compared with itself
    query = encoder.embed(["Kenya shillings"], role="query", max_tokens=32, batch_tokens=512)[0]
    told = [embed_sentences(encoder, text) for text in DOCUMENTS.values()]
    weights = np.exp(told[0] @ query / TEMPERATURE)
    expected = [
        np.log(
            sum(
                weight / weights.sum() * np.exp((own @ other + query @ other) / 2.0 / TEMPERATURE)
                for weight, own in zip(weights, told[0], strict=True)
                for other in document
            )
        )
        for document in told[1:]
    ]
    np.testing.assert_allclose(beside[1:], (alone[1:] + expected - 0.5 * np.mean(expected)) / 2.0, atol=1e-3)


def test_judged_not_relevant_is_no_reference(encoder: Encoder):
    assert closeness(encoder, rows({"answer": 0})).tolist() == closeness(encoder, rows({})).tolist()


def test_without_a_pool_logits_are_as_they_are(encoder: Encoder):
    outside = closeness(encoder, rows({}, outside=tuple(DOCUMENTS)))
    np.testing.assert_allclose(outside - 0.5 * outside.mean(), closeness(encoder, rows({})), atol=1e-3)


def test_pairs_outside_the_pool_do_not_move_it(encoder: Encoder):
    whole = rows({"answer": 1}, outside=("far",))
    without = whole.filter(pl.col("doc_id") != "far")
    np.testing.assert_allclose(closeness(encoder, whole)[:3], closeness(encoder, without), atol=1e-4)


def test_other_queries_and_the_order_do_not_matter(encoder: Encoder):
    one, other = rows({"answer": 1}), rows({"far": 1}, query="Horses bread")
    together = closeness(encoder, pl.concat([one, other]).reverse())[::-1]
    np.testing.assert_allclose(together, [*closeness(encoder, one), *closeness(encoder, other)], atol=1e-4)
