"""kill -9 in the middle of work: the same command goes on and ends where an undisturbed run ends."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.weave import weave
from storage import load

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(500)]

TESTS = Path(__file__).parents[1]
NUM_KILLS = int(os.environ.get("POLYLOOM_KILLS", "8"))  # 50 for the figure in docs/reliability.md


def kill_once(process, there) -> None:
    """Kill the process at the moment when `there()` first holds."""
    while process.poll() is None and not there():
        time.sleep(0.001)
    assert process.poll() is None, process.communicate()[0]
    process.send_signal(signal.SIGKILL)
    process.communicate()


def unfinished(folder: Path, pattern: str) -> bool:
    """Say whether a file of this pattern is there, in a dataset without a manifest."""
    return any(not (found.parents[depth] / "manifest.json").exists() for depth, found in _found(folder, pattern))


def _found(folder: Path, pattern: str):
    depth = pattern.count("/") - 3
    return [(depth, found) for found in folder.glob(pattern)]


def contents(answer):
    return {(e["step"], e["kind"], e["partition"], e["fingerprint"]): e["content"] for e in answer["stages"]}


def test_killed_embedding_and_training_end_like_an_undisturbed_run(built, make_tiny, tmp_path):
    loom = make_tiny(tmp_path)
    data = tmp_path / "data"
    kill_once(loom.start("run", "tiny.yaml"), lambda: unfinished(data, "embeddings/*/*/progress/00003.json"))
    shards = sorted(path.name for path in data.glob("embeddings/*/*/part-*.parquet"))
    assert shards, "expected committed shards of the killed run"
    kill_once(
        loom.start("run", "tiny.yaml"),
        lambda: any(data.glob("training_log/all/*/scratch/work/*/checkpoints/*")),
    )
    assert not list(data.glob("training_log/all/*/manifest.json"))
    answer = loom.run("tiny.yaml")
    assert contents(answer) == contents(built[1])
    assert not list(data.glob("*/*/*/scratch/work"))


@pytest.mark.timeout(20 * NUM_KILLS + 500)
def test_many_kills_over_all_stages_lose_nothing(woven, tmp_path, record_property):
    """Each kill comes shortly after some files were written, so that they are spread over the pipeline."""
    command = [sys.executable, "-m", "support.killed_builds", woven.folder / "tiny.yaml", tmp_path / "data"]
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    run = subprocess.run(
        [*command, str(NUM_KILLS)], cwd=woven.folder, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    told = json.loads(run.stdout.splitlines()[-1])
    record_property("killed in", told["killed"])
    assert sum(told["killed"].values()) == NUM_KILLS
    root = str(woven.folder / "data")
    undisturbed = {str(one.ref(root)): load(one.ref(root)).content for one in weave(woven.settings()).promises}
    for contents in told["contents"]:
        assert contents == undisturbed
    assert not list((tmp_path / "data").glob("*/*/*/scratch"))
    assert not list((tmp_path / "data").glob("**/.tmp-*"))
