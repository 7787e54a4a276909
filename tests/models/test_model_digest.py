"""The digest follows a model's bytes, not its name or place."""

import hashlib
import shutil

import pytest

from tasks.models.locate import locate_model, model_digest


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (path / name).write_text(name)
    return path


def test_digest_is_that_of_the_listed_contents(folder):
    names = ("config.json", "model.safetensors", "tokenizer.json")
    lines = "".join(f"{name} {hashlib.sha256(name.encode()).hexdigest()}\n" for name in names)
    assert model_digest(str(folder)) == hashlib.sha256(lines.encode()).hexdigest()


def test_digest_is_the_same_elsewhere_and_with_a_readme(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "another name")
    (copy / "README.md").write_text("text")
    assert model_digest(str(copy)) == model_digest(str(folder))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_digest_changes_with_any_file_of_the_model(folder, name):
    before = model_digest(str(folder))
    (folder / name).write_text("changed to another length")
    assert model_digest(str(folder)) != before


def test_digest_takes_large_files_of_the_hub_cache_by_their_name(folder, tmp_path):
    expected = model_digest(str(folder))
    blob = tmp_path / "blobs" / hashlib.sha256(b"model.safetensors").hexdigest()
    blob.parent.mkdir()
    blob.write_text("never read")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(blob)
    assert model_digest(str(folder)) == expected


def test_digest_of_bundled_model_is_that_of_its_file():
    file = locate_model("bundled:multilingual-e5-small")
    assert model_digest("bundled:multilingual-e5-small") == hashlib.sha256(file.read_bytes()).hexdigest()


def test_digest_names_missing_model(tmp_path):
    with pytest.raises(ValueError, match="There is no such folder"):
        model_digest(str(tmp_path / "missing"))
