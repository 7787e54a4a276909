"""What every look command prints at 80 columns on a real small store, held in snapshots.

`POLYLOOM_SNAPSHOTS=write pytest tests/pipeline/test_looks.py` writes them anew. Names that hashes make, times, sizes
and decimals are masked: they differ between machines.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from support.command import REPOSITORY
from typer.testing import CliRunner

from flows.cli.main import app
from flows.cli.options import out
from flows.configs import load_config
from flows.weave import weave
from storage import runs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SNAPSHOTS = Path(__file__).parent / "snapshots"
LOOKS = {
    "runs": ["runs"],
    "compare": ["compare", "FIRST", "latest"],
    "compare-systems": ["compare", "latest"],
    "diff": ["diff", "FIRST", "latest"],
    "latest": ["latest"],
    "ls": ["ls", "hard_negatives"],
    "show-ledger": ["show", "hard_negatives/sw", "--head", "4"],
    "show-all-columns": ["show", "hard_negatives/sw", "--all", "--head", "1"],
    "show-training-log": ["show", "training_log", "--head", "3"],
    "show-sql": [
        "show", "corpus/en", "--sql",
        "SELECT language, COUNT(*) AS documents FROM corpus GROUP BY language ORDER BY language",
    ],
    "show-one-of-several": ["show", "embeddings/sw", "--head", "1"],
    "show-lineage": ["show", "hard_negatives/sw", "--lineage"],
    "plan": ["plan", "CONFIG", "--set", "plan_batches.seed=7"],
    "plan-all": ["plan", "CONFIG", "--set", "plan_batches.seed=7", "--all"],
    "plan-cached": ["plan", "CONFIG"],
    "explain-train": ["explain", "atlas-sw-q0004"],
    "explain-dev": ["explain", "atlas-sw-q0001"],
    "explain-document": ["explain", "atlas-sw-q0004", "--document", "sw-territory-BZ#4"],
    "gc": ["gc", "--keep", "1"],
    "verify": ["verify"],
}  # fmt: skip


@pytest.fixture(scope="module")
def store(woven, tmp_path_factory):
    """Copy what the tiny pipeline promises into a store of its own, and run it there twice, all cached."""
    folder = tmp_path_factory.mktemp("looks")
    settings = woven.settings()
    for promise in weave(settings).promises:
        ref = promise.ref("data")
        shutil.copytree(woven.folder / ref.uri, folder / ref.uri, ignore=shutil.ignore_patterns("lock"))
    config = folder / "tiny.yaml"
    text = (woven.folder / "tiny.yaml").read_text().replace("root: data", f"root: {folder / 'data'}")
    config.write_text(text.replace("model: model", f"model: {woven.folder / 'model'}"), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setenv("PREFECT_HOME", str(folder / "prefect"))
        for _ in range(2):
            answer = CliRunner().invoke(app, ["run", str(config)])
            assert answer.exit_code == 0, answer.output
    return folder


@pytest.fixture
def look(store, monkeypatch):
    """Return a function that runs a command as on a terminal of 80 columns."""
    width = out.width
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("POLYLOOM_ROOT", str(store / "data"))
    out.width = 80
    first = runs.runs(str(store / "data"))[-1].id
    stand_ins = {"FIRST": first, "CONFIG": str(store / "tiny.yaml")}
    yield lambda *arguments: CliRunner().invoke(app, [stand_ins.get(one, one) for one in arguments])
    out.width = width


def masked(text: str, store: Path) -> str:
    for pattern, mask in (
        (re.escape(str(store)), "STORE"),
        (r"\S+/model: ", "MODEL: "),
        (r"\d{8}-\d{6}-[0-9a-f]{4}", "RUN"),
        (r"(?<=/)[0-9a-f]{8}\b|\b[0-9a-f]{12}\b|\b[0-9a-f]{32}\b", "FINGERPRINT"),
        (r"\d\d-\d\d \d\d:\d\d", "TIME"),
        (r"-?\d[\d,.]* (B|kB|MB|GB|s|min)\b", "SIZE"),
        (r"(?<=about SIZE) \(\w+\)", " (STEP)"),  # memory is measured of a process: whose is the most differs
        (r"-?\d+\.\d+(e-\d+)?", "#.#"),
        (r"(?m)(?<=')[0-9a-f]{4}(?=')|^[0-9a-f]{4}(?=[: ])|\b[0-9a-f]{4}(?= {2,}(\d|#)| *$| {2,}[0-9a-f]{4})", "ID"),
        (r"─{3,}", "───"),
        (r" {2,}", "  "),
        (r"(?m) +$", ""),
    ):
        text = re.sub(pattern, mask, text)
    return text


@pytest.mark.parametrize("name", LOOKS)
def test_looks_fit_80_columns_and_say_what_they_said(look, store, name):
    answer = look(*LOOKS[name])
    assert answer.exit_code == 0, answer.output
    assert "\x1b" not in answer.output
    free = (str(store), "passage: ", "analyzer")  # lines to copy are not broken
    assert all(cell_len(line) <= 80 or any(word in line for word in free) for line in answer.output.splitlines())
    file, text = SNAPSHOTS / f"{name}.txt", masked(answer.output, store)
    if os.environ.get("POLYLOOM_SNAPSHOTS") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_names_are_whole_where_a_program_reads(look, store, monkeypatch):
    monkeypatch.delenv("TTY_COMPATIBLE")
    lines = [line.split("\t") for line in look("ls", "hard_negatives").output.splitlines()]
    names = {f"hard_negatives/{folder.parent.name}/{folder.name}" for folder in store.glob("data/hard_negatives/*/*")}
    assert {line[0] for line in lines} == names
    assert {len(line) for line in lines} == {5}


def test_rows_as_json_and_csv_are_the_runs(look, store, tmp_path):
    look("show", "qrels/sw", "--json", str(tmp_path / "rows.json"), "--csv", str(tmp_path / "rows.csv"))
    answer = json.loads((tmp_path / "rows.json").read_text())
    assert answer["of"].startswith(f"run {runs.find(str(store / 'data'), 'latest').id} (tiny)")
    assert len(answer["rows"]) == len((tmp_path / "rows.csv").read_text().splitlines()) - 1 > 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ls", "corpora"], "ls: expected a kind of corpus"),
        (["ls", "--root", "nowhere"], "found none. See --root."),
        (["ls", "verdicts"], "found none"),
        (["runs", "other"], "runs: expected one in"),
        (["show", "corpus/fr"], "found none"),
        (["show", "corpus", "--run", "other"], "run 'other': expected a completed run"),
        (["show", "corpus", "--columns", "body"], "--columns: expected doc_id, title, text, got 'body'"),
        (["show", "corpus", "--sql", "SELECT * FROM Read_CSV('/etc/passwd')"], "tables of the store, got Read_CSV"),
    ],
)
def test_looks_at_nothing_are_errors(look, arguments, message):
    answer = look(*arguments)
    assert answer.exit_code != 0
    assert message in str(answer.exception)


def test_plan_says_where_a_killed_training_goes_on(look, store):
    settings = load_config(store / "tiny.yaml", ("train.learning_rate=0.002",))
    training = next(one for one in weave(settings).promises if one.step.produces == "training_log")
    folder = Path(training.ref(settings.storage.location).uri, "scratch", "work", "checkpoints")
    folder.mkdir(parents=True)
    for step in (9, 10):
        (folder / f"step-{step:08d}-0123.safetensors").touch()
    answer = look("plan", "CONFIG", "--set", "train.learning_rate=0.002")
    shown = " ".join(answer.output.split())
    assert "train.learning_rate 0.001 → 0.002, resumes at step 10" in shown, answer.output
    shutil.rmtree(folder.parents[2])


def test_doctor_says_a_line_of_each_part_of_this_machine(look, store, tmp_path):
    answer = look("doctor", "--json", str(tmp_path / "doctor.json"))
    assert answer.exit_code == 0
    lines = {line[:10].strip(): line[11:] for line in answer.output.splitlines()}
    names = ["versions", "Java", "processor", "GPU", "memory", "store", "cache", "Prefect", "API"]
    assert list(lines) == names
    assert json.loads((tmp_path / "doctor.json").read_text()) == lines
    assert lines["versions"].startswith(f"Python {sys.version.split()[0]}, polyloom ")
    assert lines["Java"].startswith("openjdk version")
    assert lines["store"].startswith(f"{store / 'data'}: writable, ")


def test_looks_load_no_torch_no_prefect_and_no_http_client(look, store):
    commands = [["ls"], ["runs"], ["show", "corpus"], ["explain", "atlas-sw-q0004"], ["plan", str(store / "tiny.yaml")]]
    program = (
        "import sys; from typer.testing import CliRunner; from flows.cli.main import app\n"
        f"for one in {commands!r}: assert CliRunner().invoke(app, one).exit_code == 0, one\n"
        "print([name for name in ('torch', 'prefect', 'httpx', 'transformers') if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
