import importlib
import sys
from types import ModuleType, SimpleNamespace

import pytest

NAME = "tasks.plan_batches.fasttext_models"


@pytest.fixture
def models(monkeypatch) -> ModuleType:
    """The module, with a stand-in for the extra: a model that says how long a line is."""
    asked = SimpleNamespace(
        predict=lambda line, k: (("__label__1", "__label__2"), (len(line) / 10, 1 - len(line) / 10))
    )
    monkeypatch.setitem(sys.modules, "fasttext", SimpleNamespace(load_model=lambda path: asked))
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    module = importlib.import_module(NAME)
    monkeypatch.delitem(sys.modules, NAME)
    return module


def test_classify_gives_every_label_its_probability(models, tmp_path):
    (tmp_path / "dbpedia.bin").write_bytes(b"")
    found = models.classify(tmp_path / "dbpedia.bin", ["four"])
    assert found == [{"__label__1": 0.4, "__label__2": 0.6}]


def test_rejects_a_missing_model_file(models, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a fastText model at .*yahoo.bin, got no file. Download"):
        models.classify(tmp_path / "yahoo.bin", ["four"])


def test_import_names_the_extra_when_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "fasttext", None)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    with pytest.raises(
        ModuleNotFoundError, match=r"expected the package fasttext-predict .* Install polyloom\[fasttext\]"
    ):
        importlib.import_module(NAME)
