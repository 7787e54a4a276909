"""atlas as it is handed to the pipeline: frames, sizes, determinism, languages, and what it asks of a retriever."""

import json
import math
import os
import subprocess
import sys
import unicodedata
from collections import Counter, defaultdict

import polars as pl
import pytest
from babel import Locale

from tasks.ingest.atlas.generate import Atlas, generate
from tasks.ingest.config import AtlasConfig
from tasks.languages import LANGUAGES

SIZES = {"documents_per_language": 200, "queries_per_language": 60}

SCRIPTS = {
    "ar": ("ARABIC",),
    "bn": ("BENGALI",),
    "fa": ("ARABIC",),
    "hi": ("DEVANAGARI",),
    "ja": ("HIRAGANA", "KATAKANA", "CJK", "KATAKANA-HIRAGANA"),
    "ko": ("HANGUL",),
    "ru": ("CYRILLIC",),
    "te": ("TELUGU",),
    "th": ("THAI",),
    "zh": ("CJK",),
}
"""How Unicode's names of a language's letters begin; languages that are not here write LATIN."""


@pytest.fixture(scope="module")
def atlases() -> dict[str, Atlas]:
    return {language: generate(language, seed=0, **SIZES) for language in LANGUAGES}


def relevant_documents(atlas: Atlas, *, with_missed: bool) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for query_id, doc_id in atlas.qrels.filter(pl.col("relevance") > 0).select("query_id", "doc_id").rows():
        found[query_id].add(doc_id)
    for query_id, doc_id in atlas.truth.select("query_id", "doc_id").rows() if with_missed else []:
        found[query_id].add(doc_id)
    return found


def test_frames_have_the_columns_of_the_datasets():
    atlas = generate("sw", seed=0, documents_per_language=60, queries_per_language=12)
    assert atlas.corpus.schema == {"doc_id": pl.Utf8, "title": pl.Utf8, "text": pl.Utf8}
    strings = ("query_id", "text", "split", "origin", "parent")
    assert atlas.queries.schema == dict.fromkeys(strings, pl.Utf8)
    assert atlas.qrels.schema == {"query_id": pl.Utf8, "doc_id": pl.Utf8, "relevance": pl.Int32}
    assert atlas.truth.schema == {"query_id": pl.Utf8, "doc_id": pl.Utf8, "reason": pl.Utf8}
    assert set(atlas.queries["origin"]) == {"given"}
    assert atlas.queries["parent"].null_count() == 12


def test_default_settings_can_be_generated():
    sizes = AtlasConfig().model_dump()
    assert generate("en", **sizes).corpus.height == sizes["documents_per_language"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_sizes_are_exact_and_ids_and_texts_distinct(atlases, language):
    corpus, queries = atlases[language].corpus, atlases[language].queries
    assert corpus.height == corpus["doc_id"].n_unique() == corpus["text"].n_unique() == 200
    assert queries.height == queries["query_id"].n_unique() == queries["text"].n_unique() == 60
    assert Counter(queries["split"]) == {"train": 39, "dev": 21}


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_composed_and_without_gaps_to_fill(atlases, language):
    atlas = atlases[language]
    for text in [*atlas.corpus["title"], *atlas.corpus["text"], *atlas.queries["text"]]:
        assert text == text.strip() == unicodedata.normalize("NFC", text)
        assert text
        assert "  " not in text
        assert not set("{}") & set(text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_in_the_script_of_the_language(atlases, language):
    script = SCRIPTS.get(language, ("LATIN",))
    for text in [*atlases[language].corpus["text"], *atlases[language].queries["text"]]:
        letters = [letter for letter in text if letter.isalpha()]
        native = [unicodedata.name(letter).startswith(script) for letter in letters]
        assert sum(native) > 0.6 * len(letters), text


def test_ids_name_language_and_subject(atlases):
    assert set(atlases["sw"].queries["query_id"]) == {f"atlas-sw-q{number:04d}" for number in range(1, 61)}
    assert atlases["sw"].corpus["doc_id"].str.contains(r"^sw-[a-z]+-[A-Za-z0-9-]+#([0-9]+|note)$").all()
    ids = [doc_id for atlas in atlases.values() for doc_id in atlas.corpus["doc_id"]]
    assert len(ids) == len(set(ids))


def test_languages_ask_and_judge_the_same_in_another_order(atlases):
    for frame in ("qrels", "truth"):
        swahili, finnish = getattr(atlases["sw"], frame), getattr(atlases["fi"], frame)
        renamed = swahili.with_columns(
            pl.col("query_id").str.replace("atlas-sw-", "atlas-fi-"), pl.col("doc_id").str.replace("sw-", "fi-")
        )
        assert renamed.drop("reason", strict=False).equals(finnish.drop("reason", strict=False))
    keys = [atlases[x].corpus["doc_id"].str.replace(f"^{x}-", "").to_list() for x in ("sw", "fi")]
    assert sorted(keys[0]) == sorted(keys[1])
    assert keys[0] != keys[1]


@pytest.mark.parametrize("language", LANGUAGES)
def test_judgements_name_known_ids_and_truth_lies_outside_them(atlases, language):
    atlas = atlases[language]
    queries, documents = set(atlas.queries["query_id"]), set(atlas.corpus["doc_id"])
    judged = set(atlas.qrels.select("query_id", "doc_id").rows())
    missed = set(atlas.truth.select("query_id", "doc_id").rows())
    assert len(judged) == atlas.qrels.height
    assert len(missed) == atlas.truth.height
    assert not judged & missed
    assert {query for query, _ in judged | missed} == queries
    assert {document for _, document in judged | missed} <= documents


def test_every_query_has_a_relevant_and_a_missed_document(atlases):
    queries = set(atlases["en"].queries["query_id"])
    assert set(relevant_documents(atlases["en"], with_missed=False)) == queries
    assert set(atlases["en"].truth["query_id"]) == queries
    assert atlases["en"].truth.height >= 1.5 * len(queries)
    assert (atlases["en"].qrels["relevance"] == 0).sum() >= 2 * len(queries)


def test_reasons_name_a_fact_in_words_of_the_passage(atlases):
    """A missed document about `currency KE KES` shows the names of KE and KES: an answer that a reader can find."""
    kinds_of = {"currency": ("territory", "currency"), "official": ("territory", "language")}
    finnish = Locale("fi")
    tables = {"territory": finnish.territories, "currency": finnish.currencies, "language": finnish.languages}
    texts = {doc_id: f"{title} {text}".lower() for doc_id, title, text in atlases["fi"].corpus.rows()}
    checked = 0
    for _, doc_id, reason in atlases["fi"].truth.rows():
        relation, head, tail = reason.removeprefix("states ").split(", ")[0].split(" ")
        for kind, code in zip(kinds_of.get(relation, ()), (head, tail), strict=False):
            assert tables[kind][code].lower() in texts[doc_id]
            checked += 1
    assert checked > 20


def test_same_seed_gives_same_bytes_and_another_seed_another_atlas(atlases):
    again = generate("th", seed=0, **SIZES)
    for frame in ("corpus", "queries", "qrels", "truth"):
        assert getattr(again, frame).equals(getattr(atlases["th"], frame))
    assert not generate("th", seed=1, **SIZES).corpus.equals(again.corpus)


def test_atlas_does_not_depend_on_the_hash_seed(atlases):
    script = (
        "import json; from tasks.ingest.atlas.generate import generate\n"
        f"atlas = generate('ru', seed=0, **{SIZES!r})\n"
        "print(json.dumps([atlas.corpus.rows(), atlas.queries.rows(), atlas.qrels.rows(), atlas.truth.rows()]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "4242", "PYTHONIOENCODING": "utf-8"}
    output = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True).stdout
    russian = atlases["ru"]
    expected = [russian.corpus.rows(), russian.queries.rows(), russian.qrels.rows(), russian.truth.rows()]
    assert json.loads(output) == json.loads(json.dumps(expected))


def units(text: str) -> list[str]:
    """Words, and pairs of characters where words are not set apart: what a plain bag of words can see."""
    dense = {
        letter for letter in text if unicodedata.name(letter, "").startswith(("THAI", "CJK", "HIRAG", "KATAK", "HANG"))
    }
    words = "".join(letter if letter.isalnum() or unicodedata.category(letter)[0] == "M" else " " for letter in text)
    return [
        part
        for word in words.lower().split()
        for part in ([word[i : i + 2] for i in range(len(word) - 1)] if dense & set(word) else [word])
    ]


def overlap_ndcg(atlas: Atlas) -> float:
    """nDCG@10 of BM25 (k1 0.9, b 0.4) against everything that answers, by the textbook formula."""
    bags = [(doc_id, Counter(units(f"{title} {text}"))) for doc_id, title, text in atlas.corpus.rows()]
    frequency = Counter(unit for _, bag in bags for unit in bag)
    mean = sum(bag.total() for _, bag in bags) / len(bags)
    idf = {unit: math.log(1 + (len(bags) - n + 0.5) / (n + 0.5)) for unit, n in frequency.items()}
    right = relevant_documents(atlas, with_missed=True)
    gains = []
    for query_id, text in atlas.queries.select("query_id", "text").rows():
        asked = [unit for unit in units(text) if unit in idf]
        scores = [
            (
                -sum(idf[u] * bag[u] / (bag[u] + 0.9 * (0.6 + 0.4 * bag.total() / mean)) for u in asked if u in bag),
                doc_id,
            )
            for doc_id, bag in bags
        ]
        ranked = [doc_id for _, doc_id in sorted(scores)[:10]]
        gain = sum(1 / math.log2(rank + 2) for rank, doc_id in enumerate(ranked) if doc_id in right[query_id])
        gains.append(gain / sum(1 / math.log2(rank + 2) for rank in range(len(right[query_id]))))
    return sum(gains) / len(gains)


@pytest.mark.parametrize("language", LANGUAGES)
def test_word_overlap_alone_does_not_answer(atlases, language):
    assert 0.4 < overlap_ndcg(atlases[language]) < 0.85


def test_generate_rejects_an_unknown_language():
    with pytest.raises(ValueError, match=r"atlas: expected a language out of ar, bn, .*, got 'xx'"):
        generate("xx", seed=0, **SIZES)


def test_generate_rejects_more_documents_than_facts_can_give():
    assert generate("en", seed=0, documents_per_language=2000, queries_per_language=10).corpus.height == 2000
    with pytest.raises(ValueError, match=r"atlas: expected at most 2\d{3} documents_per_language, got 5000"):
        generate("en", seed=0, documents_per_language=5000, queries_per_language=10)


def test_generate_rejects_more_queries_than_documents_answer():
    with pytest.raises(ValueError, match=r"atlas: expected at most \d+ dev queries from 60 documents, got 3500"):
        generate("en", seed=0, documents_per_language=60, queries_per_language=10_000)
