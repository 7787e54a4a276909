"""The command as such: its help, version, shell completion, exit statuses, and what its examples leave behind."""

import importlib.metadata
import re

import pytest
from support.command import REPOSITORY
from typer.testing import CliRunner

from flows.cli import carry
from flows.cli.main import app

PAGES = [REPOSITORY / "README.md", *(REPOSITORY / "docs" / name for name in ("guide.md", "operations.md"))]


def answer(*words, **environment):
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "80", **environment}, prog_name="polyloom")


def test_version_and_help():
    assert answer("--version").output == f"polyloom {importlib.metadata.version('polyloom')}\n"
    shown = answer("--help").output
    assert "From multilingual corpora to a measured retriever." in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(("typed", "offered"), [("ver", ["verify"]), ("exp", ["explain", "export"])])
def test_shells_complete_commands(typed, offered):
    completed = answer(_POLYLOOM_COMPLETE="complete_bash", COMP_WORDS=f"polyloom {typed}", COMP_CWORD="1")
    assert sorted(completed.output.split()) == offered


@pytest.mark.parametrize("words", [["nothing"], ["ls", "--bogus"], ["show", "corpus", "--head", "0"]])
def test_what_is_not_known_is_exit_status_2(words):
    assert answer(*words).exit_code == 2


def test_a_folder_is_replaced_by_force_alone_and_only_one_of_its_sort(tmp_path):
    there = tmp_path / "model"
    there.mkdir()
    (there / "mine.txt").touch()
    with pytest.raises(ValueError, match="expected a folder that is not there yet, got .*, or add --force"):
        carry._make_way(there, "modules.json", force=False)
    with pytest.raises(ValueError, match="--force: expected a folder with modules.json to replace"):
        carry._make_way(there, "modules.json", force=True)
    assert (there / "mine.txt").exists()
    (there / "modules.json").touch()
    carry._make_way(there, "modules.json", force=True)
    assert not there.exists()


def test_what_the_examples_write_here_is_ignored_by_git():
    ignored = set((REPOSITORY / ".gitignore").read_text(encoding="utf-8").split())
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    written = set(re.findall(r"(?:--to|--json|--csv)[ =]([\w.-]+)(?=[\s`])", pages))
    assert {"model", "vectors.npy", "answer.json"} <= written
    assert [name for name in sorted(written) if f"/{name}/" not in ignored and f"/{name}" not in ignored] == []
