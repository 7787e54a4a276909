"""Where models are found; the hub's cache is a small one made here, and no test reaches a network."""

import subprocess
import sys

import huggingface_hub.constants
import pytest

from tasks.models.locate import has_weights, hub_id, locate_model, model_files

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _write_model(folder, *, weights="model.safetensors"):
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "README.md", weights):
        (folder / name).write_text(name)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.safetensors").write_text("another format")
    return folder


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def _write_cached(hub_cache, **kwargs):
    repository = hub_cache / "models--owner--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return _write_model(repository / "snapshots" / COMMIT, **kwargs)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("intfloat/e5-large@main", "intfloat/e5-large"),
        ("bundled:multilingual-e5-small", "intfloat/multilingual-e5-small"),
        ("/home/someone/model", None),
        ("./models/mine", None),
        ("models/mine", None),
        ("model", None),
    ],
)
def test_only_what_is_no_folder_has_a_hub_id(source, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert hub_id(source) == expected


def test_locate_finds_bundled_file_in_its_package():
    assert locate_model("bundled:multilingual-e5-small").name == "e5-small-q4.bin"


def test_locate_finds_bundled_folder_in_its_package():
    assert has_weights(locate_model("bundled:all-minilm-l6-v2"))


def test_locate_returns_local_folder(tmp_path):
    folder = _write_model(tmp_path / "model")
    assert locate_model(str(folder)) == folder


def test_locate_accepts_sharded_weights(tmp_path):
    assert has_weights(_write_model(tmp_path / "model", weights="model-00001-of-00002.safetensors"))


def test_model_files_are_the_model_and_nothing_else(tmp_path):
    files = model_files(_write_model(tmp_path / "model"))
    names = [path.relative_to(tmp_path / "model").as_posix() for path in files]
    assert names == ["1_Pooling/config.json", "config.json", "model.safetensors", "tokenizer.json"]


@pytest.mark.parametrize("source", ["owner/name", "owner/name@main", f"owner/name@{COMMIT}"])
def test_locate_finds_hub_model_in_local_cache_without_network(hub_cache, source):
    folder = _write_cached(hub_cache)
    assert locate_model(source) == folder


def test_locate_says_what_to_do_when_hub_model_is_not_there(hub_cache):
    with pytest.raises(
        FileNotFoundError, match=r"model 'owner/name': expected a folder, or a hub model .* local cache"
    ):
        locate_model("owner/name")


def test_locate_refuses_pickled_weights(tmp_path):
    folder = _write_model(tmp_path / "model", weights="pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"pytorch_model.bin.*Pickled weights are not read: save the model"):
        locate_model(str(folder))


def test_locate_refuses_cached_hub_model_without_safetensors(hub_cache):
    _write_cached(hub_cache, weights="pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"expected config.json and model.safetensors"):
        locate_model("owner/name")


def test_locate_rejects_unknown_bundled_name():
    with pytest.raises(ValueError, match=r"expected one of \['bundled:all-minilm-l6-v2', .*\], got 'bundled:bge'"):
        locate_model("bundled:bge")


def test_locate_rejects_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=r"expected a bundled model, a folder or a hub id .* There is no such folder"):
        locate_model(str(tmp_path / "missing"))


def test_model_digest_imports_neither_torch_nor_transformers():
    code = "import sys, tasks.models.locate; print(sorted({'torch', 'transformers', 'tokenizers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
