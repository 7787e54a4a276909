"""The sentence-transformers files: what is written is read back, and equal values give equal bytes."""

import json

import pytest

from tasks.models.layout import read_max_tokens, read_pooling, read_prompts, write_json, write_layout


def _write(folder, **changes):
    settings = {"hidden_size": 8, "max_tokens": 64, "pooling": "mean", "query_prompt": "q: ", "document_prompt": "d: "}
    write_layout(folder, **(settings | changes))


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_layout_gives_pooling_prompts_and_length_back(tmp_path, pooling):
    _write(tmp_path, pooling=pooling)
    assert read_pooling(tmp_path) == pooling
    assert read_prompts(tmp_path) == {"query": "q: ", "document": "d: "}
    assert read_max_tokens(tmp_path) == 64


def test_layout_sets_exactly_one_pooling_flag(tmp_path):
    _write(tmp_path, pooling="last")
    config = json.loads((tmp_path / "1_Pooling" / "config.json").read_text())
    assert [key for key, value in config.items() if key.startswith("pooling_mode") and value] == [
        "pooling_mode_lasttoken"
    ]
    assert config["word_embedding_dimension"] == 8


def test_layout_lists_transformer_pooling_and_normalisation_in_order(tmp_path):
    _write(tmp_path)
    modules = json.loads((tmp_path / "modules.json").read_text())
    assert [module["type"].rsplit(".", 1)[-1] for module in modules] == ["Transformer", "Pooling", "Normalize"]


def test_read_pooling_knows_the_newer_single_key(tmp_path):
    write_json(tmp_path / "1_Pooling" / "config.json", {"embedding_dimension": 8, "pooling_mode": "lasttoken"})
    assert read_pooling(tmp_path) == "last"


def test_read_prompts_is_empty_where_none_is_set(tmp_path):
    write_json(tmp_path / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})
    assert read_prompts(tmp_path) == {"query": "", "document": ""}


def test_write_json_gives_same_bytes_whatever_the_order(tmp_path):
    write_json(tmp_path / "a.json", {"x": "é", "y": 2})
    write_json(tmp_path / "b.json", {"y": 2, "x": "é"})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_layout_rejects_unknown_pooling(tmp_path):
    with pytest.raises(ValueError, match=r"pooling: expected one of \['mean', 'cls', 'last'\], got 'max'"):
        _write(tmp_path, pooling="max")


@pytest.mark.parametrize("config", [{"pooling_mode": "max"}, {"pooling_mode": ["cls", "mean"]}, {}])
def test_read_pooling_rejects_what_we_do_not_compute(tmp_path, config):
    write_json(tmp_path / "1_Pooling" / "config.json", config)
    with pytest.raises(ValueError, match="expected exactly one pooling of cls, mean, last"):
        read_pooling(tmp_path)


def test_read_pooling_names_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"1_Pooling/config.json: expected a file .* Make the folder with"):
        read_pooling(tmp_path)
