import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.tiny_training import pool, run_training

from tasks.train.events import LogRow

pytestmark = pytest.mark.slow  # whole steps and training runs: not of the quick round

KILLED_RUN = """
import os, signal, sys
from pathlib import Path
import torch
from support.tiny_training import run_training

torch.set_num_threads(1)

def report(report):
    if report.num_done == 5:
        os.kill(os.getpid(), signal.SIGKILL)

run_training(Path(sys.argv[1]), report=report)
"""


class Killed(Exception):
    """Stands for the end of the process."""


def interrupt(folder: Path, *, after: int, **rest) -> None:
    def report(report):
        if report.num_done == after:
            raise Killed("at a step's end")

    with pytest.raises(Killed, match="at a step's end"):
        run_training(folder, report=report, **rest)


def assert_same_as_undisturbed(
    folder: Path, *, first_step: int, warnings: list[str] | None = None, **rest
) -> list[LogRow]:
    expected, expected_log = run_training(folder, checkpoints="undisturbed", **rest)
    done: list[int] = []
    found: list[str] = []
    encoder, log = run_training(folder, report=lambda report: done.append(report.num_done), warn=found.append, **rest)
    assert done == list(range(first_step, len(log) + 1))
    assert log == expected_log
    for (name, ours), undisturbed in zip(encoder.named_parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, undisturbed), name
    assert len(found) == len(warnings or [])
    for text, expected_part in zip(found, warnings or [], strict=True):
        assert expected_part in text
    return log


@pytest.mark.parametrize("after", [3, 6])
@pytest.mark.parametrize(
    "changes",
    [
        {"gradient_cache": "on", "chunk_tokens": 12},
        {"temperature_learning_rate": 0.05},
        {"lora_rank": 2, "matryoshka_dimensions": (8, 16)},
        {"precision": "fp16"},
        {"teacher": {("en", "q1"): {"d1": 3.0, "d2": 1.0}}, "distillation_weight": 0.5},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_resumed_run_equals_undisturbed_with_every_part_of_the_state(tmp_path, changes, after):
    interrupt(tmp_path, after=after, **changes)
    assert_same_as_undisturbed(tmp_path, first_step=after, **changes)


@pytest.mark.parametrize("after", [3, 6])
def test_resumed_run_takes_its_validations_and_best_weights_along(tmp_path, after):
    changes = {"validation": pool(tmp_path), "validation_steps": 1, "learning_rate": 1e-6}  # too small to rank anew
    interrupt(tmp_path, after=after, **changes)
    log = assert_same_as_undisturbed(tmp_path, first_step=after, **changes)
    assert len({row.validation_ndcg for row in log}) == 1  # so that the first one's weights are the result
    best, _ = run_training(tmp_path, checkpoints="best", **changes)
    last, _ = run_training(tmp_path, checkpoints="last", learning_rate=1e-6)
    pairs = zip(best.parameters(), last.parameters(), strict=True)
    assert any(not torch.equal(ours, other) for ours, other in pairs)


def test_resumed_run_keeps_its_patience(tmp_path):
    changes = {"validation": pool(tmp_path), "validation_steps": 1, "patience": 3, "learning_rate": 1e-9}
    interrupt(tmp_path, after=3, **changes)
    assert len(assert_same_as_undisturbed(tmp_path, first_step=3, **changes)) == 4
    again: list[int] = []
    _, log = run_training(tmp_path, report=lambda report: again.append(report.num_done), **changes)
    assert (again, len(log)) == ([], 4)  # it had ended; its checkpoint says so


def test_resumed_run_may_switch_the_gradient_cache(tmp_path):
    interrupt(tmp_path, after=3, gradient_cache="off", chunk_tokens=12)
    assert_same_as_undisturbed(tmp_path, first_step=3, gradient_cache="on", chunk_tokens=12)


def test_resumed_run_keeps_the_loss_scale(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.train.state._START_SCALE", 2.0**40)
    interrupt(tmp_path, after=4, precision="fp16")
    assert_same_as_undisturbed(tmp_path, first_step=4, precision="fp16")


@pytest.mark.parametrize("after", [1, 3, 8])
def test_resumed_run_equals_undisturbed_bit_for_bit(tmp_path, after):
    interrupt(tmp_path, after=after)  # a checkpoint after each step, written after the report
    assert_same_as_undisturbed(tmp_path, first_step=after)


def test_resumed_twice_equals_undisturbed(tmp_path):
    interrupt(tmp_path, after=3)
    interrupt(tmp_path, after=7)
    assert_same_as_undisturbed(tmp_path, first_step=7)


def test_resume_uses_the_older_checkpoint_when_the_newest_is_damaged(tmp_path):
    interrupt(tmp_path, after=7)
    newest = max((tmp_path / "checkpoints").iterdir())
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(bytes(content))
    assert_same_as_undisturbed(tmp_path, first_step=6, warnings=["passed over as damaged"])


def test_starts_over_when_the_checkpoints_are_of_another_recipe(tmp_path):
    interrupt(tmp_path, after=3, temperature=0.2)
    assert_same_as_undisturbed(tmp_path, first_step=1, warnings=["made with the settings"] * 2)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_run_killed_by_sigkill_resumes_bit_for_bit(tmp_path):
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, str(tmp_path)], env={"PYTHONPATH": ":".join(sys.path)}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    last = max((tmp_path / "checkpoints").glob("step-*")).name[:13]
    assert last in ("step-00000003", "step-00000004")  # the fourth may have been half written
    assert_same_as_undisturbed(tmp_path, first_step=int(last[5:]) + 1)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_loop_imports_no_polars_prefect_or_storage():
    listing = "import sys, tasks.train.loop; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run(
        [sys.executable, "-c", listing],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    assert "torch" in loaded
    assert not {"polars", "prefect", "storage", "pydantic", "fsspec"} & set(loaded)
