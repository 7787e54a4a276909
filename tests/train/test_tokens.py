import numpy as np
import pytest
from support.token_folders import token_folder

from tasks.train.tokens import TokenTable, open_tokens, write_token_file

FI = ({"1": [97, 98], "2": []}, {}, {"3": [99]})


@pytest.fixture
def folders(tmp_path):
    return [
        token_folder(tmp_path / "fi", *FI),
        token_folder(tmp_path / "sw", {"1": [7]}, language="sw"),
        token_folder(tmp_path / "documents", {"1": [8, 8]}, role="document"),
    ]


def test_gives_each_texts_ids_by_language_and_id(folders):
    table = open_tokens(folders, role="query", wanted={("fi", "1"), ("fi", "2"), ("fi", "3"), ("sw", "1")})
    assert table["fi", "1"].tolist() == [97, 98]
    assert table["fi", "2"].tolist() == []
    assert table["fi", "3"].tolist() == [99]
    assert table["sw", "1"].tolist() == [7]


def test_holds_only_what_is_wanted_of_its_role(folders):
    table = open_tokens(folders, role="document", wanted={("fi", "1")})
    assert table.keys() == {("fi", "1")}
    assert table["fi", "1"].tolist() == [8, 8]
    assert open_tokens(folders, role="query", wanted=set()).keys() == set()


def test_used_ids_are_those_of_the_wanted_texts(folders, monkeypatch):
    monkeypatch.setattr("tasks.train.tokens._PIECE", 2)
    wanted = {("fi", "1"), ("fi", "2"), ("sw", "1")}
    assert open_tokens(folders, role="query", wanted=wanted).used_ids() == {97, 98, 7}
    assert open_tokens(folders, role="query", wanted=set()).used_ids() == set()


def test_ids_stay_on_disk(folders):
    ids = open_tokens(folders, role="query", wanted={("fi", "1")})["fi", "1"]
    owner = ids
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    assert isinstance(owner, np.memmap)


def test_table_of_lists_gives_them_back():
    table = TokenTable.of({("fi", "1"): [3, 1], ("fi", "2"): [], ("sw", "1"): [2]})
    assert [table["fi", "1"].tolist(), table["fi", "2"].tolist(), table["sw", "1"].tolist()] == [[3, 1], [], [2]]
    assert table.used_ids() == {1, 2, 3}


def test_rejects_plan_with_text_that_is_missing(folders):
    with pytest.raises(ValueError, match=r"text for each of .* queries, got none for 2, first '4' \(fi\)"):
        open_tokens(folders, role="query", wanted={("fi", "1"), ("fi", "4"), ("ko", "9")})


def test_rejects_text_that_comes_twice(folders):
    with pytest.raises(ValueError, match=r"each text of the queries once, got 1 of .*fi twice"):
        open_tokens([*folders, folders[0]], role="query", wanted={("fi", "1")})


def test_rejects_file_that_was_cut_short(folders):
    with (folders[0] / "tokens" / "00000.bin").open("r+b") as file:
        file.truncate(4)
    with pytest.raises(ValueError, match=r"00000\.bin: expected 8 bytes, got 4\. Copy the dataset's folder whole"):
        open_tokens(folders, role="query", wanted={("fi", "1")})


def test_rejects_folder_without_its_files(folders):
    (folders[1] / "tokens" / "00000.bin").unlink()
    with pytest.raises(ValueError, match=r"expected 4 bytes, got None"):
        open_tokens(folders, role="query", wanted=set())


def test_file_appears_whole_or_not_at_all(tmp_path):
    def broken():
        yield [1, 2]
        raise RuntimeError("the tokenizer failed")

    with pytest.raises(RuntimeError, match="tokenizer failed"):
        write_token_file(tmp_path / "00000.bin", broken())
    assert not (tmp_path / "00000.bin").exists()
    assert write_token_file(tmp_path / "00000.bin", [[1, 2], [], [3]]) == [2, 0, 1]
    assert np.fromfile(tmp_path / "00000.bin", "<i4").tolist() == [1, 2, 3]
