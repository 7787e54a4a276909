"""The one call for a GPU, on a CPU: it needs nothing that such a machine lacks, and carries all else."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest
from support.command import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ABSENT = ("polars", "faiss", "prefect", "datasets", "pyserini", "accelerate", "peft", "pandas", "orjson", "s3fs")

# Python imports a module of this name when it starts: those packages are then not found, as if they were not there.
BLOCKER = f"""
import importlib.machinery
import importlib.metadata

find = importlib.machinery.PathFinder.find_spec

def find_spec(cls, name, path=None, target=None):
    return None if name.partition(".")[0] in {ABSENT!r} else find(name, path, target)

importlib.machinery.PathFinder.find_spec = classmethod(find_spec)

from_name = importlib.metadata.Distribution.from_name.__func__

def installed(cls, name):
    if name in {ABSENT!r}:
        raise importlib.metadata.PackageNotFoundError(name)
    return from_name(cls, name)

importlib.metadata.Distribution.from_name = classmethod(installed)
"""


@pytest.fixture(scope="module")
def carry(tmp_path_factory):
    """Make the folder, with few passages."""
    folder = tmp_path_factory.mktemp("gpu") / "carry"
    done = subprocess.run(
        [sys.executable, "benchmarks/gpu/prepare.py", "--out", str(folder), "--passages", "100"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def call(carry, *arguments, **environment):
    return subprocess.run(
        [
            "sh",
            str(carry / "run.sh"),
            "--device",
            "cpu",
            "--limit",
            "900",
            "--out",
            str(carry.parent / "out"),
            *arguments,
        ],
        cwd=carry.parent,
        env={**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_blocker_hides_what_is_here(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    assert importlib.util.find_spec("polars")
    done = subprocess.run(
        [sys.executable, "-c", "import polars"], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, check=False
    )
    assert b"No module named 'polars'" in done.stderr


def test_whole_call_runs_where_only_torch_and_transformers_are(carry):
    """The tests are only collected here: they run by themselves in tests/gpu."""
    (carry / "packages" / "sitecustomize.py").write_text(BLOCKER)
    done = call(carry, PYTEST_ADDOPTS="--collect-only")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in (carry.parent / "out" / "results.jsonl").read_text().splitlines()]
    assert [line["part"] for line in lines if line["what"] == "part"] == [
        "card",
        "tests",
        "embedding",
        "scoring",
        "searching",
        "training",
    ]
    assert not [line for line in lines if line.get("error")]
    measured = {(line["what"], line["side"]) for line in lines if "side" in line}
    assert measured == {(what, side) for what in ("embed", "score", "search", "train") for side in ("ours", "theirs")}
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert (carry.parent / "out" / "table.txt").read_text() in done.stdout


def test_part_that_is_too_late_or_fails_is_named_and_the_others_run(carry):
    """A limit of which the card's part gets less than a process needs to begin."""
    (carry / "code" / "benchmarks" / "gpu" / "searching.py").write_text("raise SystemExit('no card')")
    done = call(carry, "--parts", "searching", "card", "--limit", "1.5")
    assert done.returncode == 1
    assert "card stopped after" in done.stdout.replace("\n", " ")
    assert "searching" in done.stdout


def test_says_what_to_run_first(tmp_path):
    script = tmp_path / "run.sh"
    script.write_text((REPOSITORY / "benchmarks" / "gpu" / "run.sh").read_text())
    done = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "expected" in done.stderr
    assert "Run benchmarks/gpu/prepare.py first." in done.stderr
