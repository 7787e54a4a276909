from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tasks.train.tokens import open_tokens, write_tokens

TEXTS = [(("fi", "1"), "ab"), (("sw", "1"), "c"), (("fi", "2"), ""), (("fi", "3"), "unused")]
WANTED = {("fi", "1"), ("sw", "1"), ("fi", "2")}


def letters(texts: list[str]) -> list[list[int]]:
    return [[ord(letter) for letter in text] for text in texts]


def write(folder: Path, texts=TEXTS, wanted=WANTED):
    return write_tokens(folder, texts, wanted=wanted, tokenize=letters, what="documents")


def test_gives_each_texts_ids_by_language_and_id(tmp_path):
    table = write(tmp_path)
    assert table["fi", "1"].tolist() == [97, 98]
    assert table["sw", "1"].tolist() == [99]
    assert table["fi", "2"].tolist() == []
    assert table.keys() == WANTED


def test_used_ids_are_those_of_all_texts(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.train.tokens._PIECE", 2)
    assert write(tmp_path).used_ids() == {97, 98, 99}


def test_opens_what_was_written(tmp_path):
    write(tmp_path)
    table = open_tokens(tmp_path, WANTED)
    assert table is not None
    assert table["fi", "1"].tolist() == [97, 98]
    assert isinstance(table.tokens, np.memmap)


def test_streams_texts_through_the_tokenizer_in_chunks(tmp_path):
    sizes = []

    def tokenize(texts: list[str]) -> list[list[int]]:
        sizes.append(len(texts))
        return letters(texts)

    texts: Iterator = ((("fi", str(number)), "x") for number in range(3000))
    wanted = {("fi", str(number)) for number in range(2500)}
    table = write_tokens(tmp_path, texts, wanted=wanted, tokenize=tokenize, what="documents")
    assert sum(sizes) == 2500
    assert max(sizes) <= 1024
    assert table["fi", "2499"].tolist() == [ord("x")]


def test_opens_nothing_where_writing_was_cut_short(tmp_path):
    assert open_tokens(tmp_path, WANTED) is None
    write(tmp_path)
    with (tmp_path / "tokens.bin").open("r+b") as file:
        file.truncate(4)
    assert open_tokens(tmp_path, WANTED) is None


def test_opens_nothing_where_the_list_of_texts_is_damaged(tmp_path):
    write(tmp_path)
    (tmp_path / "texts.parquet").write_bytes(b"PAR1")
    assert open_tokens(tmp_path, WANTED) is None


def test_opens_nothing_for_other_texts(tmp_path):
    write(tmp_path)
    assert open_tokens(tmp_path, WANTED | {("fi", "3")}) is None


def test_rejects_plan_with_text_that_is_missing(tmp_path):
    with pytest.raises(ValueError, match=r"text for each of .* documents, got none for 1, first '9' \(ko\)"):
        write(tmp_path, wanted=WANTED | {("ko", "9")})


def test_rejects_text_that_comes_twice(tmp_path):
    with pytest.raises(ValueError, match="each of the documents once, got 4 texts for 3 ids"):
        write(tmp_path, texts=[*TEXTS, TEXTS[0]])
