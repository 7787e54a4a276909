"""Every language has an analyzer."""

import pytest

from tasks.languages import LANGUAGES
from tasks.retrieve.analyzers import OF_LANGUAGE


@pytest.mark.parametrize(
    "language", ["ar", "bn", "en", "es", "fa", "fi", "fr", "hi", "id", "ja", "ko", "ru", "te", "zh"]
)
def test_lucene_analyses_the_languages_it_knows(language):
    assert OF_LANGUAGE[language] == f"lucene:{language}"


def test_thai_and_swahili_have_a_stated_choice():
    assert (OF_LANGUAGE["th"], OF_LANGUAGE["sw"]) == ("newmm", "standard")


def test_every_language_of_a_configuration_has_one():
    assert set(OF_LANGUAGE) == set(LANGUAGES)
