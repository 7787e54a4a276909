"""Training on the device that there is, beside the CPU: on a machine without a GPU the same tests run on its CPU.

They import nothing that a bare GPU machine lacks.
"""

import json
import math
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from support import ddp_training
from support.tiny_training import pool, run_training, tiny_encoder, watch_scales

from tasks.models.memory import ran_out_of_memory

pytestmark = pytest.mark.slow

DEVICE = os.environ.get("POLYLOOM_DEVICE", "cuda" if torch.cuda.is_available() else "cpu")
SMALL_CHUNKS = {"chunk_tokens": 12}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trained(folder, name, *, device=DEVICE, **changes):
    encoder, log = run_training(folder / device, checkpoints=name, device=device, **changes)
    return {key: value.detach().cpu() for key, value in encoder.named_parameters()}, log


def assert_close(found, expected, *, weights=2e-4, loss=1e-4):
    assert [row.loss for row in found[1]] == pytest.approx([row.loss for row in expected[1]], rel=loss, abs=loss / 10)
    for name, value in expected[0].items():
        torch.testing.assert_close(
            found[0][name], value, rtol=1e-3, atol=weights, msg=lambda text, n=name: f"{n}: {text}"
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"gradient_cache": "on", **SMALL_CHUNKS},
        {"gradient_cache": "off", **SMALL_CHUNKS},
        {"gradient_checkpointing": True},
        {"temperature_learning_rate": 0.05, "matryoshka_dimensions": (8,), "weighting": "negative"},
        {"lora_rank": 2},
        {"teacher": {("en", "q1"): {"d1": 3.0, "d2": 1.0}}, "distillation_weight": 0.5},
    ],
    ids=lambda changes: " ".join(f"{key} {value}" for key, value in changes.items() if not isinstance(value, dict)),
)
def test_training_in_fp32_equals_the_cpus(tmp_path, changes):
    assert_close(trained(tmp_path, "a", **changes), trained(tmp_path, "b", device="cpu", **changes))


def test_gradient_cache_changes_nothing(tmp_path):
    plain = trained(tmp_path, "a", gradient_cache="off", **SMALL_CHUNKS)
    assert_close(trained(tmp_path, "b", gradient_cache="on", **SMALL_CHUNKS), plain)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_near_and_keeps_float32_weights(tmp_path, precision):
    full, half = trained(tmp_path, "a"), trained(tmp_path, "b", precision=precision)
    assert {value.dtype for value in half[0].values()} == {torch.float32}
    assert [row.loss for row in half[1]] != [row.loss for row in full[1]]
    assert [row.loss for row in half[1]] == pytest.approx([row.loss for row in full[1]], abs=0.1)


def test_fp16_leaves_out_a_step_that_overflows_and_lowers_the_scale(tmp_path, monkeypatch):
    scales = watch_scales(monkeypatch, start=2.0**40)
    _, log = trained(tmp_path, "a", precision="fp16")
    assert scales[:2] == [2.0**40, 2.0**39]
    assert log[0].gradient_norm == math.inf


class Killed(Exception):
    """Stands for the end of the process."""


def test_resumed_run_equals_an_undisturbed_one(tmp_path):
    def report(report):
        if report.num_done == 5:
            raise Killed("at a step's end")

    changes = {"validation_steps": 2, "temperature_learning_rate": 0.02, "validation": pool(tmp_path)}
    with pytest.raises(Killed, match="at a step's end"):
        trained(tmp_path, "resumed", report=report, **changes)
    done = []
    found = trained(tmp_path, "resumed", report=lambda report: done.append(report.num_done), **changes)
    assert done == [5, 6, 7, 8]
    expected = trained(tmp_path, "undisturbed", **changes)
    assert_close(found, expected)
    if DEVICE == "cpu":
        assert all(torch.equal(found[0][name], value) for name, value in expected[0].items())


def test_lack_of_memory_is_known_as_such():
    with pytest.raises(RuntimeError) as caught:  # noqa: PT011 - its wording is what is tested
        torch.empty(2**50, dtype=torch.uint8, device=DEVICE)
    assert ran_out_of_memory(caught.value)


@pytest.mark.timeout(300)
def test_two_processes_equal_one(tmp_path):
    """Over NCCL where there are two GPUs, else on the CPU over Gloo."""
    device = "cuda" if DEVICE != "cpu" and torch.cuda.device_count() > 1 else "cpu"
    for name in (".", "rank0", "rank1"):
        tiny_encoder(tmp_path / name / "encoder")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, ddp_training.__file__, str(tmp_path), "0", "two"],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1", "DEVICE": device},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    alone, log = run_training(tmp_path, validation=pool(tmp_path), device=device, **ddp_training.SETTINGS)
    found = json.loads((tmp_path / "two.json").read_text())
    assert [row["loss"] for row in found] == pytest.approx([row.loss for row in log], rel=1e-4, abs=1e-5)
    first, second = load_file(tmp_path / "two.0"), load_file(tmp_path / "two.1")
    for name, value in alone.named_parameters():
        torch.testing.assert_close(first[name], value.detach().cpu(), rtol=1e-3, atol=2e-4)
        assert torch.equal(first[name], second[name]), name
