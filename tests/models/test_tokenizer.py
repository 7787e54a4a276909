"""The tokenizer of an encoder's folder: prompts, limits, and the ids of the whole tokenizer whatever its model is."""

import pytest
from support.tiny_model import write_tiny_encoder
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tasks.models.encoder import Encoder
from tasks.models.layout import read_json, write_json
from tasks.models.tokenizer import TextTokenizer

TEXTS = ["what is red", "", "a word that is not known", "red " * 50, "<s> red</s>", "Ünknöwn 東京 ☃"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_encoder(tmp_path_factory.mktemp("model") / "encoder", texts=["what is red"])


def _whole_ids(folder, prompt, *, max_tokens):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(max_tokens)
    return [tokenizer.encode(prompt + text).ids for text in TEXTS]


@pytest.mark.parametrize(("role", "prompt"), [("query", "query: "), ("document", "passage: ")])
@pytest.mark.parametrize("max_tokens", [4, 16, 128])
def test_gives_the_ids_of_the_whole_tokenizer(folder, role, prompt, max_tokens, monkeypatch):
    monkeypatch.setattr("tasks.models.tokenizer._TEXTS_AT_ONCE", 2)
    expected = _whole_ids(folder, prompt, max_tokens=max_tokens)
    assert list(TextTokenizer(folder)(TEXTS, role=role, max_tokens=max_tokens)) == expected
    whole = TextTokenizer(folder).blocks(TEXTS, role=role, max_tokens=max_tokens, whole=True)
    assert [ids for tokens in whole for ids in tokens] == expected
    assert Encoder.load(folder, device="cpu").tokenize(TEXTS, role=role, max_tokens=max_tokens) == expected


def test_gives_the_same_ids_at_any_call(folder):
    tokenizer = TextTokenizer(folder)
    together = list(tokenizer(TEXTS, role="query", max_tokens=16))
    alone = [ids for text in reversed(TEXTS) for ids in tokenizer([text], role="query", max_tokens=16)]
    assert alone[::-1] == together
    assert list(tokenizer([], role="query", max_tokens=16)) == []


@pytest.mark.parametrize(
    "blank", ["", " \n", "\u200b\u200b", "\ufeff", "\u00ad\u2060", "\u3164\u115f", "\ufe0f\U000e0100", "\x00\u2800"]
)
def test_text_of_invisible_characters_is_empty(folder, blank):
    tokenizer = TextTokenizer(folder)
    empty, blanks, seen = tokenizer(["", blank, blank + "red"], role="document", max_tokens=16)
    assert blanks == empty != seen


def _models():
    words = {name: number for number, name in enumerate(["<s>", "<pad>", "</s>", "<unk>", "red", "r", "##ed", "##e"])}
    letters = {
        name: number for number, name in enumerate(["<s>", "<pad>", "</s>", "<unk>", "r", "e", "d", "re", "red"])
    }
    return [
        models.WordPiece(words, unk_token="<unk>"),
        models.BPE(letters, [("r", "e"), ("re", "d")], unk_token="<unk>"),
        models.WordLevel(words, unk_token="<unk>"),
    ]


@pytest.mark.parametrize("model", _models(), ids=lambda model: type(model).__name__)
def test_other_models_keep_their_whole_vocabulary(tmp_path, model):
    folder = write_tiny_encoder(tmp_path / "model")
    whole = Tokenizer(model)
    whole.pre_tokenizer = pre_tokenizers.Whitespace()
    whole.add_special_tokens(["<pad>", "<extra>"])
    whole.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    whole.save(str(folder / "tokenizer.json"))
    expected = _whole_ids(folder, "query: ", max_tokens=16)
    assert list(TextTokenizer(folder)(TEXTS, role="query", max_tokens=16)) == expected
    assert list(TextTokenizer(folder)(["<extra>"], role="query", max_tokens=16))[0][-2] == whole.token_to_id("<extra>")


def test_rejects_more_tokens_than_the_network_takes(folder):
    with pytest.raises(ValueError, match=r"max_tokens of a query: expected 1\.\.128 .* got 129"):
        list(TextTokenizer(folder)(TEXTS, role="query", max_tokens=129))


def test_rejects_a_padding_token_that_the_tokenizer_has_not(tmp_path):
    folder = write_tiny_encoder(tmp_path / "model")
    write_json(folder / "tokenizer_config.json", read_json(folder / "tokenizer_config.json") | {"pad_token": "[PAD]"})
    with pytest.raises(ValueError, match=r"expected the padding token '\[PAD\]' in tokenizer.json, got none"):
        TextTokenizer(folder)
