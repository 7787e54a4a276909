"""kill -9 in the middle of work: the same command goes on and ends where an undisturbed run ends."""

import signal
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(500)]


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
