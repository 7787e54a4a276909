"""Every bad input of the list: the exit code, one line of one form that docs/bad-inputs.md has, the store untouched.

`POLYLOOM_WRITE_PAGES=1 pytest tests/flows/test_bad_inputs.py` writes the page anew; read what has changed in it.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.bad_inputs import BAD, BORNE, Bad, write_good
from support.command import REPOSITORY
from support.datasets import FACTS, qrels
from support.in_process import build_missing
from support.mutations import files_below, one_line

from flows.cli.main import main
from flows.configs import load_config
from flows.weave import weave
from storage import DatasetRef, Writer, commit, inspect

PAGE = REPOSITORY / "docs" / "bad-inputs.md"
HEAD = """# Bad inputs, and what is said of them

Each row is a test (`tests/flows/test_bad_inputs.py`, which writes this page): the command ends with exit code 1 and
this one line, and the store is as it was. What is wrong with rows of input files `polyloom check` lists; a run stops
at the first, or leaves them out where `ingest.on_bad_row` is `quarantine`.

| input | what it says |
|---|---|
"""
KINDS = {"passages": "corpus", "topics": "queries", "run": "candidates"} | {
    kind: kind for kind in ("corpus", "queries", "qrels")
}
WRITING = bool(os.environ.get("POLYLOOM_WRITE_PAGES"))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_good()
    writer = Writer(DatasetRef(kind="qrels", partition="en", fingerprint="e" * 32, root="store"))
    writer.write(qrels("a"))
    commit(writer, **FACTS)
    return tmp_path


def prepare(bad: Bad) -> None:
    for name, content in bad.files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).unlink(missing_ok=True)
        if content is not None:
            Path(name).write_bytes(content)


def run(bad: Bad, capsys, monkeypatch) -> tuple[int, str]:
    """Return the exit code and what stands on standard error."""
    if bad.environment:
        given = {**os.environ, "PYTHONPATH": str(REPOSITORY), **bad.environment}
        environment = {name: value for name, value in given.items() if value is not None}
        done = subprocess.run(
            [sys.executable, "-m", "flows", *bad.arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr
    monkeypatch.setattr(sys, "argv", ["polyloom", *bad.arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(str(ended.value.code)), capsys.readouterr().err


@contextmanager
def untouched(store: Path) -> Iterator[None]:
    before = {path: path.read_bytes() for path in files_below(store)}
    yield
    assert {path: path.read_bytes() for path in files_below(store)} == before


def said_on_the_page() -> dict[str, str]:
    rows = [line.strip("| ").split(" | ", 1) for line in PAGE.read_text(encoding="utf-8").splitlines()[8:]]
    return {what: says.strip("`") for what, says in rows}


@pytest.fixture(scope="module")
def written() -> Iterator[dict[str, str]]:
    lines: dict[str, str] = {}
    yield lines
    if WRITING and len(lines) == len(BAD):
        rows = [f"| {one.what} | `{lines[one.what]}` |\n" for one in BAD]
        PAGE.write_text(HEAD + "".join(rows), encoding="utf-8")


def cell(line: str, folder: Path) -> str:
    """Make a line fit for a table's cell, without this machine's paths and this code's fingerprints."""
    line = re.sub(r"\b[0-9a-f]{12}\b", "…", line)
    return line.replace(f"{folder}/", "").replace("|", "¦").replace("`", "'")


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.what)
def test_bad_input_is_one_line_and_leaves_the_store(bad, folder, capsys, monkeypatch, written):
    prepare(bad)
    arguments = bad.arguments if not bad.reads_files else (*bad.arguments, "--json", "a.json")
    with untouched(folder / "store"):
        code, error = run(Bad(bad.what, arguments, environment=bad.environment), capsys, monkeypatch)
    assert code == 1, error
    line = error.removesuffix("\n").removeprefix("polyloom: ")
    assert one_line(line) is None, line
    if Path("a.json").exists():
        problems = json.loads(Path("a.json").read_text())["languages"][0]["problems"]
        name = next(iter(bad.files), "").rpartition("/")[2]
        line = next((problem for problem in problems if name in problem), problems[0])
        assert one_line(line) is None
    written[bad.what] = cell(line, folder)
    assert WRITING or cell(line, folder) == said_on_the_page()[bad.what]


def ingest(bad: Bad, store: str) -> None:
    settings = tuple(bad.arguments[place + 1] for place, word in enumerate(bad.arguments) if word == "--set")
    config = load_config(Path("mine.yaml"), settings)
    weave(config, None if config.ingest.dev_split else "ingest")  # sees that dev is there, if it is to be
    build_missing(weave(config, "ingest_run" if config.evaluate.systems else "ingest"), store)


@pytest.mark.parametrize("bad", [bad for bad in BAD if bad.reads_files and bad.files], ids=lambda bad: bad.what)
def test_ingest_stops_at_the_same_line_and_commits_nothing_of_it(bad, folder):
    prepare(bad)
    store = str(folder / "store")
    with untouched(folder / "store" / "qrels" / "en" / ("e" * 32)), pytest.raises((ValueError, OSError)) as raised:
        ingest(bad, store)
    line = cell(str(raised.value), folder)
    assert one_line(line) is None
    said = said_on_the_page()[bad.what]
    assert line.startswith(said.removesuffix("."))
    kind = KINDS[bad.what.partition(",")[0]]
    split = None if kind == "corpus" else "dev" if "dev.tsv" in said else "train"
    committed = [manifest for _, manifest in inspect.datasets(store, kind) if manifest.arguments]
    assert not [manifest for manifest in committed if manifest.arguments.get("split") == split]


@pytest.mark.slow
@pytest.mark.parametrize("borne", BORNE, ids=lambda borne: borne.what)
def test_environment_that_does_no_harm(borne, folder, capsys, monkeypatch):
    Path("mine.yaml").rename(borne.arguments[1])
    assert run(borne, capsys, monkeypatch) == (0, "")


def test_page_has_the_list_and_no_more():
    assert WRITING or list(said_on_the_page()) == [bad.what for bad in BAD]
    assert len(BAD) >= 60
