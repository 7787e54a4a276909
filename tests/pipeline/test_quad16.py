"""Real questions over real passages: the configuration weaves for all languages, and says what it lacks."""

from pathlib import Path

import pytest

from flows.configs import load_config
from flows.weave import weave
from tasks.languages import LANGUAGES

CONFIG = Path(__file__).parents[2] / "configs" / "quad16.yaml"


@pytest.fixture
def quad16(shared, monkeypatch):
    monkeypatch.setenv("QUAD16", str(shared / "quad16"))


def test_all_languages_by_one_setting(quad16):
    everything = weave(load_config(CONFIG, (f"languages=[{','.join(LANGUAGES)}]",)))
    assert {promise.partition for promise in everything.promises} == {*LANGUAGES, "all"}


def test_names_the_variable_that_is_not_set(monkeypatch):
    monkeypatch.delenv("QUAD16", raising=False)
    with pytest.raises(ValueError, match="QUAD16"):
        weave(load_config(CONFIG))
