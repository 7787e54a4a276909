"""Scripts and small words; the prompts are in the languages that they ask for."""

from pathlib import Path

import pytest

from tasks.languages import LANGUAGES
from tasks.supplement.languages import fallback_note, in_language, load_languages, prompts_for

PROMPTS = load_languages()

QUESTIONS = {
    "ar": "ما هي عاصمة فنلندا؟",
    "bn": "ফিনল্যান্ডের রাজধানী কোথায়?",
    "en": "What is the capital of Finland?",
    "es": "¿Cuál es la capital de Finlandia?",
    "fa": "پایتخت فنلاند کجا است؟",
    "fi": "Mikä on Suomen pääkaupunki?",
    "fr": "Quelle est la capitale de la Finlande ?",
    "hi": "फ़िनलैंड की राजधानी क्या है?",
    "id": "Apa ibu kota dari Finlandia?",
    "ja": "フィンランドの首都はどこですか？",
    "ko": "핀란드의 수도는 어디입니까?",
    "ru": "Какой город столица Финляндии?",
    "sw": "Mji mkuu wa Finland ni upi?",
    "te": "ఫిన్లాండ్ రాజధాని ఏది?",
    "th": "เมืองหลวงของฟินแลนด์คือเมืองอะไร",
    "zh": "芬兰的首都是哪里？",
}


def test_every_language_of_the_pipeline_has_prompts():
    assert sorted(PROMPTS) == sorted(LANGUAGES) == sorted(QUESTIONS)


@pytest.mark.parametrize("language", sorted(PROMPTS))
def test_prompts_are_in_their_own_language_and_hold_their_places(language):
    prompts = PROMPTS[language]
    back = prompts.back.format(query="", passage="")
    forward = prompts.forward.format(summary="")
    for text in (prompts.system, back, forward):
        assert in_language(text, language), text
        assert [other for other in PROMPTS if in_language(text, other)] == [language]
    assert prompts.back.count("{query}") == prompts.back.count("{passage}") == prompts.forward.count("{summary}") == 1


@pytest.mark.parametrize("language", sorted(QUESTIONS))
def test_question_is_in_its_own_language_alone(language):
    assert [other for other in QUESTIONS if in_language(QUESTIONS[language], other)] == [language]


@pytest.mark.parametrize(
    ("text", "language", "holds"),
    [
        ("Suomen pääkaupunki", "en", True),  # no small word says otherwise: it may be a name
        ("IBM PC とは何ですか", "ja", True),  # half of the letters are kana and kanji
        ("What is とは", "ja", False),
        ("東京都", "ja", True),
        ("東京都", "zh", True),
        ("东京是日本的首都也是最大的城市之一", "ja", False),  # long, and not a single kana
        ("東京は", "zh", False),
        ("1969?", "en", False),
        ("", "en", False),
        ("Villa di Napoli", "es", True),  # one foreign small word says nothing
    ],
)
def test_in_language_at_its_edges(text, language, holds):
    assert in_language(text, language) is holds


def test_language_without_a_file_is_asked_for_in_english_by_its_name():
    german = prompts_for("de")
    assert "Write in German only." in german.system
    assert german.back.endswith("Write only the summary. Write it in German.")
    assert german.forward.endswith("on one line. Write it in German.")
    assert "{query}" in german.back
    assert prompts_for("zh-Hant").system.count("Traditional Chinese") == 1  # another script than zh
    assert prompts_for("pt-BR").system.count("Brazilian Portuguese") == 1


def test_what_lacks_a_file_is_said():
    assert fallback_note("sw") is None
    assert fallback_note("de") == (
        "de: the generator is asked in English for German; whether its answers are in German is not checked"
    )


def test_regions_share_their_languages_prompts():
    assert prompts_for("en-GB") is PROMPTS["en"]
    assert prompts_for("zh-CN") is PROMPTS["zh"]
    assert not in_language("What is the capital?", "fr-CA")


def test_any_text_may_be_in_a_language_without_a_file():
    assert in_language("Guten Tag", "de")
    assert in_language("Ẹ kú àárọ̀", "yo")
    assert not in_language("1969?", "de")


@pytest.mark.slow
@pytest.mark.parametrize("language", sorted(QUESTIONS))
def test_real_queries_are_told_apart(shared: Path, language):
    files = {
        other: (shared / "miracl-topics-qrels" / f"topics.miracl-v1.0-{other}-dev.tsv").read_text(encoding="utf-8")
        for other in QUESTIONS
    }
    queries = {other: [line.partition("\t")[2] for line in text.splitlines()] for other, text in files.items()}
    passed = {other: sum(in_language(query, language) for query in own) / len(own) for other, own in queries.items()}
    assert passed.pop(language) >= 0.99
    assert max(passed.values()) <= 0.06, passed
