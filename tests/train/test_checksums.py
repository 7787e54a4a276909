"""What goes to another machine and what comes back: any file that is not as it left is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.train.checksums import check_packed, check_result, finished_training, is_finished, write_packed, write_result

WEIGHTS = "model/model.safetensors"
Damage = Callable[[Path], object]
DAMAGES: dict[str, tuple[Damage, str]] = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-1]), "other bytes"),
    "empty": (lambda path: path.write_bytes(b""), "other bytes"),
    "flipped": (
        lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
        "other bytes",
    ),
    "missing": (lambda path: path.unlink(), "no such file"),
}


@pytest.fixture
def packing(tmp_path):
    for name in ("tokens-0/part-0.parquet", "tokens-0/ids/00000.bin", "code/tasks/train/loss.py", "train.sh"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode() * 9)
    write_packed(tmp_path)
    return tmp_path


@pytest.fixture
def result(tmp_path):
    for name in ("log.parquet", WEIGHTS, "model/config.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode() * 9)
    write_result(tmp_path, "t1")
    return tmp_path


def test_packing_as_it_left_passes_with_a_result_beside_it(packing):
    (packing / "out").mkdir()
    (packing / "out" / "result.json").write_text("{}")
    check_packed(packing / "packed.json")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["tokens-0/part-0.parquet", "tokens-0/ids/00000.bin", "code/tasks/train/loss.py"])
def test_damaged_packing_is_refused(packing, name, damage):
    spoil, got = DAMAGES[damage]
    spoil(packing / name)
    with pytest.raises(ValueError, match=rf"{name}: expected it as packed.json lists it, got {got}. Copy the packing"):
        check_packed(packing / "packed.json")


@pytest.mark.parametrize("listing", [None, "", "{", "[]", '{"files": 5}', "[" * 100_000])
def test_packing_without_its_checksums_is_refused(packing, listing):
    (packing / "packed.json").unlink() if listing is None else (packing / "packed.json").write_text(listing)
    with pytest.raises(ValueError, match=r"packed\.json: expected .*Copy the packing to this machine again"):
        check_packed(packing / "packed.json")


def test_whole_result_is_that_of_its_training(result):
    assert finished_training(result) == "t1"
    check_result(result)
    assert is_finished(result, "t1")
    assert not is_finished(result, "t2")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [WEIGHTS, "model/config.json", "log.parquet"])
def test_damaged_result_is_refused_and_not_finished(result, name, damage):
    spoil, got = DAMAGES[damage]
    spoil(result / name)
    with pytest.raises(ValueError, match=rf"{name}: expected it as result.json lists it, got {got}. Copy the folder"):
        check_result(result)
    assert not is_finished(result, "t1")


def test_file_besides_is_refused(result):
    (result / "model" / "pytorch_model.bin").write_bytes(b"other weights")
    with pytest.raises(ValueError, match="pytorch_model.bin: expected it as result.json lists it, got a file besides"):
        check_result(result)


def test_result_without_checksums_is_refused(result):
    (result / "result.json").write_text(json.dumps({"training": "t1"}))
    with pytest.raises(ValueError, match="expected it as result.json lists it"):
        check_result(result)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_unreadable_result_is_of_no_training(result, content):
    (result / "result.json").unlink() if content is None else (result / "result.json").write_bytes(content)
    assert finished_training(result) is None
