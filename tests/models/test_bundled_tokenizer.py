"""The bundled encoder's tokenizer on a handful of pieces."""

import pytest
from tokenizers import Tokenizer

from tasks.models.bundled_tokenizer import write_tokenizer
from tasks.models.layout import read_json

PIECES = [
    *[(name, 0.0) for name in ("<s>", "<pad>", "</s>", "<unk>")],
    *[("▁", -3.0), ("▁word", -1.0), ("s", -2.0), ("~", -2.0), ("～", -2.0), ("é", -2.0), ("1", -2.0), ("<mask>", 0.0)],
]
MAP = {"\x02": "", "\x7f": "", "\t": " ", "\u200d": " ", "]": "]", "①": "1"}


@pytest.fixture
def tokenizer(tmp_path):
    write_tokenizer(tmp_path, pieces=PIECES, normalizer_map=MAP, max_tokens=16)
    return Tokenizer.from_file(str(tmp_path / "tokenizer.json"))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("words", ["▁word", "s"]),
        ("wo\x02rd\x7fs", ["▁word", "s"]),  # removed
        ("word\tword\u200dword", ["▁word", "▁word", "▁word"]),  # to a space
        ("word  \t word", ["▁word", "▁word"]),  # runs of spaces
        ("words ", ["▁word", "s"]),  # white space at the end, as at the start
        (" word\t word \t", ["▁word", "▁word"]),
        (" ", []),
        ("s①", ["▁", "s", "1"]),  # NFKC
        ("s～~", ["▁", "s", "～", "~"]),  # kept, though NFKC knows it
        ("se\u0301", ["▁", "s", "é"]),  # composed
        ("", []),
        ("\x02", []),
    ],
)
def test_tokenizer_normalises_as_the_map_says(tokenizer, text, tokens):
    assert tokenizer.encode(text).tokens == ["<s>", *tokens, "</s>"]


def test_tokenizer_spells_what_it_does_not_know_as_unknown(tokenizer):
    assert tokenizer.encode("word☃").ids == [0, 5, 3, 2]


def test_tokenizer_joins_pairs_as_xlm_r_does(tokenizer):
    assert tokenizer.encode("word", "s").ids == [0, 5, 2, 2, 4, 6, 2]


def test_tokenizer_configuration_names_the_generic_class_and_the_length(tokenizer, tmp_path):
    config = read_json(tmp_path / "tokenizer_config.json")
    assert (config["tokenizer_class"], config["model_max_length"]) == ("PreTrainedTokenizerFast", 16)
    assert (config["pad_token"], config["mask_token"]) == ("<pad>", "<mask>")


def test_tokenizer_rejects_other_special_pieces(tmp_path):
    with pytest.raises(ValueError, match="pieces: expected .* first and <mask> last, got"):
        write_tokenizer(tmp_path, pieces=PIECES[1:], normalizer_map=MAP, max_tokens=16)


def test_tokenizer_rejects_a_map_beyond_its_rules(tmp_path):
    with pytest.raises(ValueError, match=r"expected U\+0061 to be removed, a space or its NFKC form, got 'b'"):
        write_tokenizer(tmp_path, pieces=PIECES, normalizer_map=MAP | {"a": "b"}, max_tokens=16)
