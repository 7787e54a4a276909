"""Shared wording, and what is compared with what."""

import polars as pl
import pytest
from support.tiny_model import write_tiny_encoder

from tasks.denoise.features import SCHEMA, find_features, find_grams, share_of
from tasks.models.encoder import Encoder

DOCUMENTS = {
    "answer": "Kenya\nShops in Kenya take shillings. Rain falls in April.",
    "again": "Prices in Kenya are marked in shillings.",
    "near": "Kenya has a coast. Rain falls in April.",
    "far": "Horses eat bread.",
}
QUERY = "What do shops in Kenya take?"
TEXTS = dict.fromkeys(["query_id", "doc_id", "query", "document"], pl.String)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    words = " ".join([QUERY, *DOCUMENTS.values()]).split()
    return Encoder.load(write_tiny_encoder(tmp_path_factory.mktemp("encoder"), texts=words), device="cpu")


def rows(query_id: str = "q", documents: dict[str, str] = DOCUMENTS) -> pl.DataFrame:
    pairs = [(query_id, doc_id, QUERY, text) for doc_id, text in documents.items()]
    return pl.DataFrame(pairs, schema=TEXTS, orient="row")


def compare(encoder: Encoder, pairs: pl.DataFrame, *relevant: str) -> pl.DataFrame:
    """Features, by doc_id; of the documents some are relevant for every query."""
    limits = {"max_query_tokens": 32, "max_document_tokens": 64, "batch_tokens": 512}
    references = pairs.filter(pl.col("doc_id").is_in(relevant))
    return find_features(pairs, references, encoder, progress=lambda _: None, **limits)


def test_grams_are_of_words_or_of_neighbours_where_words_are_not_spaced():
    assert find_grams("Ab!") == {" ab "}
    assert find_grams("bread") == {" bre", "brea", "read", "ead "}
    assert find_grams("東京都") == {"東京", "京都"}
    assert [len(find_grams(text)) for text in ("ລາວ", "ខ្មែរ", "မြန်")] == [2, 4, 2]
    assert find_grams("!?") == set()


def test_shares_count_the_wanted_grams():
    bread, both, stone, nothing = (find_grams(text) for text in ("bread", "bread horse", "stone", "!"))
    assert [share_of(bread, given) for given in (bread, both, stone, nothing)] == [1.0, 1.0, 0.0, 0.0]
    assert share_of(both, bread) == 4 / 8
    assert share_of(nothing, bread) == 0.0


def test_a_document_is_never_its_own_reference(encoder: Encoder):
    alone = compare(encoder, rows(), "answer")["reference_cosine"]
    assert alone.is_null().to_list() == [True, False, False, False]
    twin = rows(documents=DOCUMENTS | {"twin": DOCUMENTS["answer"]})
    assert compare(encoder, twin, "answer")["reference_cosine"].is_null().to_list() == [True, False, False, False, True]


def test_relevant_documents_are_references_of_each_other(encoder: Encoder):
    both = compare(encoder, rows(), "answer", "again")["reference_cosine"]
    assert both.null_count() == 0
    assert both[0] == pytest.approx(both[1])  # each is the other's
    assert compare(encoder, rows())["reference_cosine"].null_count() == 4


def test_the_closest_reference_counts(encoder: Encoder):
    one, two, both = (
        compare(encoder, rows(), *relevant)["reference_cosine"][3]
        for relevant in (("answer",), ("again",), ("answer", "again"))
    )
    assert both == pytest.approx(max(one, two))


def test_cosines_and_shares_are_of_the_whole_texts(encoder: Encoder):
    table = compare(encoder, rows())
    asked, answer = find_grams(QUERY), find_grams(DOCUMENTS["answer"])
    assert table["shared_wording"][0] == pytest.approx(len(asked & answer) / len(asked))
    assert table["shared_wording"][0] > table["shared_wording"][3] == 0.0
    vectors = encoder.embed([DOCUMENTS["near"]], role="document", max_tokens=64, batch_tokens=512)
    query = encoder.embed([QUERY], role="query", max_tokens=32, batch_tokens=512)
    assert table["cosine"][2] == pytest.approx(float(vectors[0] @ query[0]), abs=1e-5)


def test_features_follow_the_rows_and_no_other_pair(encoder: Encoder):
    whole = compare(encoder, rows(), "answer")
    assert whole.schema == SCHEMA
    mixed = pl.concat([rows(), rows("r")])[[7, 0, 4, 2, 1, 6, 3, 5]]
    together = compare(encoder, mixed, "answer")
    assert together.select("query_id", "doc_id").equals(mixed.select("query_id", "doc_id"))
    own = together.filter(pl.col("query_id") == "q").sort("doc_id")
    for name in SCHEMA.names()[2:]:
        assert own[name].to_list() == pytest.approx(whole.sort("doc_id")[name].to_list(), abs=1e-5)


def test_each_text_is_embedded_once(encoder: Encoder, monkeypatch: pytest.MonkeyPatch):
    embedded: list[str] = []
    original = Encoder.embed

    def embed(self: Encoder, texts, **settings):
        embedded.extend((settings["role"], text) for text in texts)
        return original(self, texts, **settings)

    monkeypatch.setattr(Encoder, "embed", embed)
    compare(encoder, pl.concat([rows(), rows("r")]), "answer")
    assert len(embedded) == len(set(embedded))


def test_progress_ends_with_all_pairs(encoder: Encoder):
    done: list[int] = []
    limits = {"max_query_tokens": 32, "max_document_tokens": 64, "batch_tokens": 64}
    find_features(rows(), rows()[:1], encoder, progress=done.append, **limits)
    assert sum(done) == 4
    assert min(done) >= 0
