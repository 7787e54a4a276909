"""Sentences, shared wording, and what is compared with what."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tiny_model import write_tiny_encoder

from tasks.denoise.compare import OWN, REFERENCE
from tasks.denoise.evidence import Evidence, join_evidence
from tasks.denoise.gather import gather_evidence
from tasks.denoise.overlap import count_grams, find_grams, share_of, without
from tasks.denoise.sentences import split_sentences
from tasks.models.encoder import Encoder

DOCUMENTS = {
    "answer": "Kenya\nShops in Kenya take shillings. Rain falls in April.",
    "again": "Prices in Kenya are marked in shillings.",
    "near": "Kenya has a coast. Rain falls in April.",
    "far": "Horses eat bread.",
}
QUERY = "What do shops in Kenya take?"
SCHEMA = {
    "query_id": pl.String,
    "doc_id": pl.String,
    "query": pl.String,
    "document": pl.String,
    "relevance": pl.Int32,
    "in_pool": pl.Boolean,
}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    words = " ".join([QUERY, *DOCUMENTS.values()]).split()
    return Encoder.load(write_tiny_encoder(tmp_path_factory.mktemp("encoder"), texts=words), device="cpu")


def rows(relevance: dict[str, int], query_id: str = "q", documents: dict[str, str] = DOCUMENTS) -> pl.DataFrame:
    found = [(query_id, doc, QUERY, text, relevance.get(doc), True) for doc, text in documents.items()]
    return pl.DataFrame(found, schema=SCHEMA, orient="row")


def gather(encoder: Encoder, table: pl.DataFrame) -> Evidence:
    return gather_evidence(
        table, encoder, max_query_tokens=32, max_document_tokens=64, batch_tokens=512, progress=lambda _: None
    )


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two? Three!", ["One.", "Two?", "Three!"]),
        ("東京は首都である。人口が多い。", ["東京は首都である。", "人口が多い。"]),
        ("Title\nBody of 3.5 km.", ["Title", "Body of 3.5 km."]),
        ("राजधानी दिल्ली है। वह बड़ी है।", ["राजधानी दिल्ली है।", "वह बड़ी है।"]),
        ("", [""]),
    ],
)
def test_sentences_end_at_stops_and_lines(text: str, sentences: list[str]):
    assert split_sentences(text, max_sentences=9) == sentences


def test_too_many_sentences_are_joined_without_losing_a_word():
    assert split_sentences("A. B. C. D. E.", max_sentences=2) == ["A. B. C.", "D. E."]


@given(st.text(), st.integers(1, 5))
def test_sentences_keep_every_character_that_is_no_space(text: str, most: int):
    found = split_sentences(text, max_sentences=most)
    assert 1 <= len(found) <= most
    assert "".join("".join(found).split()) == "".join(text.split())


def test_grams_are_of_words_or_of_neighbours_where_words_are_not_spaced():
    assert find_grams("Ab!") == {" ab "}
    assert find_grams("bread") == {" bre", "brea", "read", "ead "}
    assert find_grams("東京都") == {"東京", "京都"}
    assert find_grams("!?") == set()


def test_shares_count_the_wanted_grams():
    grams = count_grams(["bread", "bread horse", "stone", "!"])
    np.testing.assert_allclose(share_of(grams[:1], grams)[0], [1.0, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(share_of(grams[1:2], grams)[0], [4 / 8, 1.0, 0.0, 0.0])
    np.testing.assert_allclose(share_of(grams[3:], grams)[0], [0.0] * 4)


def test_an_answer_is_what_the_question_does_not_say():
    grams = count_grams(["horse", "bread horse"])
    assert without(grams, grams[:1]).sum(axis=1).ravel().tolist() == [[0.0, 4.0]]


def test_a_document_is_never_its_own_reference(encoder: Encoder):
    alone = gather(encoder, rows({"answer": 1}))
    assert alone.has_reference_N.tolist() == [False, True, True, True]
    assert not alone.reference_NF[0].any()
    twin = rows({"answer": 1}, documents=DOCUMENTS | {"twin": DOCUMENTS["answer"]})
    assert gather(encoder, twin).has_reference_N.tolist() == [False, True, True, True, False]


def test_relevant_documents_are_references_of_each_other(encoder: Encoder):
    assert gather(encoder, rows({"answer": 1, "again": 1})).has_reference_N.all()
    assert not gather(encoder, rows({"answer": 0})).has_reference_N.any()


def test_same_answer_counts_only_with_the_references_words(encoder: Encoder):
    found = gather(encoder, rows({"answer": 1}))
    words = found.reference_NF[:, REFERENCE.index("same_words")]
    assert words[1] > words[3]  # shillings
    asked = found.own_NF[:, OWN.index("best_shared")]
    assert asked[0] > asked[3]


def test_what_is_relative_has_no_mean_over_the_pool(encoder: Encoder):
    relative = gather(encoder, rows({"answer": 1})).own_NF[:, len(OWN) :]
    np.testing.assert_allclose(relative.mean(axis=0), 0.0, atol=1e-5)


def test_pairs_outside_the_pool_change_nothing_in_it(encoder: Encoder):
    inside = rows({"answer": 1})
    easy = pl.DataFrame([("q", "easy", QUERY, "Horses take bread.", None, False)], schema=SCHEMA, orient="row")
    before, after = gather(encoder, inside), gather(encoder, pl.concat([inside, easy]))
    np.testing.assert_allclose(after.own_NF[:4], before.own_NF, atol=1e-5)
    np.testing.assert_allclose(after.reference_NF[:4], before.reference_NF, atol=1e-5)


def test_evidence_follows_the_rows_and_no_other_query(encoder: Encoder):
    one, two = rows({"answer": 1}), rows({"near": 1}, query_id="r")
    mixed = pl.concat([one, two])[[7, 0, 4, 2, 1, 6, 3, 5]]
    alone, together = gather(encoder, one), gather(encoder, mixed)
    np.testing.assert_allclose(together.own_NF[[1, 4, 3, 6]], alone.own_NF, atol=1e-5)
    np.testing.assert_allclose(together.reference_NF[[1, 4, 3, 6]], alone.reference_NF, atol=1e-5)


def test_joined_evidence_pads_sentences(encoder: Encoder):
    short = gather(encoder, rows({}, documents={"far": DOCUMENTS["far"]}))
    long = gather(encoder, rows({}))
    joined = join_evidence([short, long])
    assert len(joined) == 5
    assert joined.sentence_NSD.shape[1] == long.sentence_NSD.shape[1] == 3
    assert joined.num_sentences_N.tolist() == [1, 3, 1, 2, 1]
    assert not joined.sentence_NSD[0, 1:].any()
