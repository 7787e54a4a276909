"""Every language has an analyzer, and every analyzer is there."""

import pytest

from tasks.languages import LANGUAGES
from tasks.retrieve.analyzers import CLASSES, STANDARD, THAI_WORDS, analyzer_of, standard_note

OWN = (
    "ar bg bn ca ckb cs da de el en es et eu fa fi fr ga gl hi hu hy id it ja ko lt lv nb ne nl nn no pl pt ro ru "
    "sr sv ta te tr uk zh"
)


@pytest.mark.parametrize("language", OWN.split())
def test_lucene_analyses_the_languages_it_knows(language):
    assert analyzer_of(language) == f"lucene:{language}"


def test_thai_and_swahili_have_a_stated_choice():
    assert (analyzer_of("th"), analyzer_of("sw")) == ("newmm", "standard")


@pytest.mark.parametrize(
    ("tag", "analyzer"),
    [
        ("pt-BR", "lucene:pt"),
        ("zh-Hant", "lucene:zh"),
        ("zh-Hant-TW", "lucene:zh"),
        ("sr-Latn", "lucene:sr"),
        ("th-TH", THAI_WORDS),
        ("yo", STANDARD),
        ("km", STANDARD),
        ("fil", STANDARD),
        ("sw-KE", STANDARD),
        ("br", STANDARD),  # Breton; Lucene's package of this name is for Brazil
    ],
)
def test_tag_has_the_analyzer_of_its_language(tag, analyzer):
    assert analyzer_of(tag) == analyzer


def test_languages_with_the_standard_analyzer_are_named_in_one_line():
    assert standard_note(["de", "yo", "pt-BR", "ha", "th"]) == (
        "bm25: Lucene's standard analyzer, without stemming or stop words, for yo, ha."
    )
    assert standard_note([language for language in LANGUAGES if language != "sw"]) == ""


@pytest.mark.slow
@pytest.mark.parametrize("analyzer", sorted(CLASSES))
def test_shipped_jar_has_every_analyzer(lucene, tmp_path, analyzer):
    lucene.call("begin", folder=str(tmp_path), analyzer=analyzer)
    lucene.call("add", doc_ids=["d"], texts=["Anno 2024"])
    lucene.call("finish", folder=str(tmp_path))
    asked = {"query_ids": ["q"], "texts": ["2024"], "k1": 0.9, "b": 0.4, "depth": 3}
    assert lucene.call("search", folder=str(tmp_path), analyzer=analyzer, **asked)[0][:3] == ("q", "d", 1)
