"""What someone else wrote, opened here: a store's names, a model's code, a document's characters. Nothing happens."""

import contextlib
import io
import json
import os
import pickle
import sys
from pathlib import Path

import fsspec
import polars as pl
import pytest
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree
from support.datasets import FACTS, qrels

from flows.cli.main import main
from flows.configs import PipelineConfig, StorageConfig
from flows.show.terminal import Terminal, visible
from flows.weave import weave
from storage import DatasetRef, StorageError, Writer, checkout, commit, read
from tasks.models.backbone import load_backbone
from tasks.models.locate import model_digest

CLIMBING = [
    "../../../escaped.parquet",
    "/{tmp}/escaped.parquet",
    "sub/../../../../escaped.parquet",
    "..\\escaped.parquet",
]
NASTY = (
    "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b31m \u202egnp.exe\u2066 \r\x08<img src=x onerror=alert(1)> [bold]b[/]\u2028"
)
OBEYED = set("\x1b\x07\x9b\u202e\u2066\r\x08\u2028")


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """Name a dataset in a bucket, with its local copies kept in a folder of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fsspec.filesystem("memory").store.clear()
    ref = DatasetRef(kind="qrels", partition="sw", fingerprint="f" * 32, root=f"memory://bucket-{tmp_path.name}/store")
    writer = Writer(ref)
    writer.write(qrels("d1"))
    commit(writer, **FACTS)
    yield ref
    fsspec.filesystem("memory").store.clear()


def rewrite(ref, change):
    """Change a manifest in a bucket as whoever may write there can."""
    with fsspec.open(f"{ref.uri}/manifest.json", "r") as file:
        content = json.load(file)
    change(content)
    with fsspec.open(f"{ref.uri}/manifest.json", "w") as file:
        json.dump(content, file)


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if "escaped" in path.name)


@pytest.mark.parametrize("name", CLIMBING)
@pytest.mark.parametrize("listed", ["parts", "files"])
def test_names_that_climb_write_nothing_outside(bucket, tmp_path, name, listed):
    name = name.replace("{tmp}", str(tmp_path))
    with fsspec.open(f"{bucket.uri}/manifest.json", "rb") as file:
        part = json.load(file)["parts"][0]
    with fsspec.open(f"{bucket.uri}/{part['name']}", "rb") as file:
        sound = file.read()
    filesystem, target = fsspec.url_to_fs(f"{bucket.uri}/{name}")
    filesystem.pipe_file(target, sound)  # where the name leads, so that it is not merely missing
    rewrite(bucket, lambda content: content[listed].append({**part, "name": name}))
    for use in (checkout, read):
        with pytest.raises(StorageError):
            use(bucket)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(kind="model"),
        lambda content: content.update(partition="../../x"),
        lambda content: content.update(fingerprint="0" * 32),
        lambda content: content.update(parts=[]),
        lambda content: content["parts"][0].update(sha256="0" * 64),
        lambda content: content["parts"][0].update(rows=7),
        lambda content: content.clear(),
    ],
    ids=["kind", "partition", "fingerprint", "no parts", "checksum", "rows", "empty"],
)
def test_manifest_of_someone_else_is_a_declared_error(bucket, change):
    rewrite(bucket, change)
    with pytest.raises(StorageError):
        read(bucket)


class _Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "model.safetensors"])
def test_models_code_and_pickles_do_not_run(tmp_path, weights):
    mark, folder = tmp_path / "ran", tmp_path / "model"
    folder.mkdir()
    code = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model", "AutoTokenizer": "evil.Tokenizer"}
    (folder / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": code, "trust_remote_code": True}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"auto_map": code}))
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Config: ...\nclass Model: ...\n")
    (folder / weights).write_bytes(pickle.dumps(_Bomb(mark)))
    (folder / "tokenizer.json").write_text("{}")
    settings = {"languages": ["en"], "encoder": {"model": str(folder)}}
    for use in (lambda: model_digest(str(folder)), lambda: weave(PipelineConfig.model_validate(settings))):
        with contextlib.suppress(ValueError, FileNotFoundError):  # a digest alone may not see what the weights are
            use()
    with pytest.raises((ValueError, OSError)):
        load_backbone(folder)
    assert not mark.exists()


def test_document_of_escapes_is_shown_and_not_obeyed(tmp_path, monkeypatch, capsys):
    ref = DatasetRef(kind="corpus", partition="en", fingerprint="f" * 32, root=str(tmp_path))
    writer = Writer(ref)
    writer.write(pl.DataFrame({"doc_id": [NASTY], "title": [NASTY], "text": [NASTY]}))
    commit(writer, **FACTS)
    (tmp_path / "mine.yaml").write_text("languages: [en]\n")
    for *arguments, status in (
        ("show", "corpus/en", "--root", str(tmp_path), 0),
        ("show", "corpus/en", "--root", str(tmp_path), "--sql", f"SELECT '{NASTY}' AS \"{NASTY}\" FROM self", 0),
        ("show", f"corpus/{NASTY}", "--root", str(tmp_path), 1),
        ("run", str(tmp_path / "mine.yaml"), "--set", f"ingest.{NASTY}=1", 1),
        ("run", str(tmp_path / f"{NASTY.replace('/', '')}.yaml"), 1),
    ):
        monkeypatch.setattr(sys, "argv", ["polyloom", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = "".join(capsys.readouterr())
        assert ended.value.code == status, said
        assert OBEYED.isdisjoint(said), said
        assert r"\x1b" in said


def test_terminal_shows_what_texts_of_every_kind_hold():
    table, tree = Table(title=escape(NASTY)), Tree(Text(NASTY))
    table.add_column(escape(NASTY))
    table.add_row(Text(NASTY))
    tree.add(escape(NASTY))
    for renderable in (escape(NASTY), Text(NASTY, style="red"), table, tree):
        file = io.StringIO()
        Terminal(file=file, force_terminal=False, width=200).print(renderable)
        assert OBEYED.isdisjoint(file.getvalue())
        assert r"\x1b[2J" in file.getvalue()
    file = io.StringIO()
    Terminal(file=file, force_terminal=True, color_system="standard").print(Text("x", style="red"))
    assert file.getvalue() == "\x1b[31mx\x1b[0m\n"  # its own styles remain


def test_joiners_tabs_and_every_script_stay_as_they_are():
    for text in ("می\u200cخواهم", "क्\u200dष", "👩\u200d🔬", "a\tb\nc", "日本語", "é\u0301"):
        assert visible(text) == text
    assert visible("\ud800\x7f") == r"\ud800\x7f"


def test_umask_keeps_the_stores_files_to_their_owner(tmp_path):
    before = os.umask(0o022)
    try:
        root = tmp_path / "data"
        with StorageConfig(root=str(root), umask="0077").private():
            writer = Writer(DatasetRef(kind="qrels", partition="sw", fingerprint="f" * 32, root=str(root)))
            writer.write(qrels("d1"))
            commit(writer, **FACTS)
        (tmp_path / "after").touch()
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o077 for path in [root, *root.rglob("*")]}
    assert modes == {0}
    assert (tmp_path / "after").stat().st_mode & 0o777 == 0o644
