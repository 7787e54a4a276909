import pytest
from support.tiny_model import write_tiny_encoder

from tasks.models.encoder import Encoder
from tasks.train.tokenizer import TextTokenizer

TEXTS = ["what is red", "", "a word that is not known", "red " * 50]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_encoder(tmp_path_factory.mktemp("model") / "encoder", texts=["what is red"])


@pytest.mark.parametrize("role", ["query", "document"])
@pytest.mark.parametrize("max_tokens", [4, 16, 128])
def test_gives_the_ids_that_the_encoder_gives(folder, role, max_tokens, monkeypatch):
    monkeypatch.setattr("tasks.train.tokenizer._TEXTS_AT_ONCE", 3)
    expected = Encoder.load(folder, device="cpu").tokenize(TEXTS, role=role, max_tokens=max_tokens)
    assert list(TextTokenizer(folder)(TEXTS, role=role, max_tokens=max_tokens)) == expected


def test_rejects_more_tokens_than_the_network_takes(folder):
    with pytest.raises(ValueError, match=r"train\.max_query_tokens: expected 1\.\.128 .* got 129"):
        list(TextTokenizer(folder)(TEXTS, role="query", max_tokens=129))
