"""The GPU benchmark has no GPU here: it must say so, and run where it is asked to on a CPU."""

import os
import subprocess
import sys

import pytest
import torch
from support.command import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def run_benchmark(*arguments):
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "benchmarks" / "gpu.py"), *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "COLUMNS": "150"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_gpu_benchmark_says_that_nothing_was_measured_without_a_gpu():
    done = run_benchmark()
    assert done.returncode == 1
    assert "expected a CUDA device, got none. Nothing was measured" in done.stderr
    assert done.stdout == ""


def test_gpu_benchmark_runs_each_side_on_a_cpu():
    done = run_benchmark("--smoke", "--steps", "3", "--sides", "ours plain", "ours cached", "theirs plain")
    assert done.returncode == 0, done.stderr
    rows = [line.split("│")[1:-1] for line in done.stdout.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows] == ["ours plain", "ours cached", "theirs plain"]
    assert all(float(row[2]) > 0 and float(row[3]) > float(row[2]) for row in rows)
    assert "these figures say nothing" in done.stdout
