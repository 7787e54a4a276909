"""Which analyzer for which language, and the settings that say so."""

import pytest
from pydantic import ValidationError

from tasks.retrieve.config import Bm25Config, FuseConfig


@pytest.mark.parametrize(
    "language", ["ar", "bn", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "te", "zh"]
)
def test_lucene_analyses_the_languages_it_knows(language):
    assert Bm25Config().analyzer(language) == f"lucene:{language}"


def test_thai_and_swahili_have_a_stated_choice():
    assert Bm25Config().analyzer("th") == "newmm"
    assert Bm25Config().analyzer("sw") == "standard"


def test_override_goes_before_the_default_in_its_language_only():
    config = Bm25Config(analyzers={"en": "standard"})
    assert config.analyzer("en") == "standard"
    assert config.analyzer("fi") == "lucene:fi"


def test_override_gives_a_new_language_an_analyzer():
    assert Bm25Config(analyzers={"yo": "standard"}).analyzer("yo") == "standard"


def test_unknown_language_is_an_error_that_lists_the_known():
    with pytest.raises(ValueError, match=r"expected a language of \['ar', 'bn'.*got 'yo'.*analyzers"):
        Bm25Config().analyzer("yo")


def test_settings_refuse_an_unknown_analyzer():
    for name in ("english", "lucene:sw", "lucene:th"):
        message = rf"expected an analyzer of \['lucene:ar'.*'newmm', 'standard'\], got '{name}'"
        with pytest.raises(ValidationError, match=message):
            Bm25Config(analyzers={"en": name})


def test_what_does_not_change_a_ranking_is_not_in_the_fingerprint():
    config = Bm25Config(analyzers={"sw": "standard"})
    assert config.model_dump(mode="json") == {"k1": 0.9, "b": 0.4}


def test_settings_refuse_a_negative_weight():
    with pytest.raises(ValidationError, match=r"expected weights of 0 or more, got \{'bm25': -1.0\}"):
        FuseConfig(weights={"bm25": -1.0})
