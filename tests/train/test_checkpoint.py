import threading
from pathlib import Path

import pytest
import torch

from tasks.train import checkpoint
from tasks.train.checkpoint import Checkpoint, CheckpointWriter, newest_checkpoint, save_checkpoint

SETTINGS = {"seed": 1, "schedule": "linear", "max_gradient_norm": None}


def save(folder: Path, *steps: int) -> None:
    for step in steps:
        save_checkpoint(folder, Checkpoint(step, {"weight": torch.full((3,), float(step))}), SETTINGS)


def newest(folder: Path, settings=SETTINGS) -> tuple[Checkpoint | None, list[str]]:
    warnings: list[str] = []
    return newest_checkpoint(folder, settings, warn=warnings.append), warnings


def file_of(folder: Path, step: int) -> Path:
    return next(folder.glob(f"step-{step:08d}-*"))


def test_reads_the_newest_back(tmp_path):
    save(tmp_path / "made", 5, 10)
    found, warnings = newest(tmp_path / "made")
    assert found is not None
    assert found.step == 10
    assert found.tensors["weight"].tolist() == [10.0, 10.0, 10.0]
    assert warnings == []


def test_finds_nothing_in_a_folder_that_is_missing(tmp_path):
    assert newest(tmp_path / "none") == (None, [])


def test_keeps_only_the_newest_two(tmp_path):
    save(tmp_path, 1, 2, 3, 4)
    assert sorted(path.name[:13] for path in tmp_path.iterdir()) == ["step-00000003", "step-00000004"]


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied"])
def test_passes_over_damaged_checkpoint_with_warning(tmp_path, damage):
    save(tmp_path, 5, 10)
    content = bytearray(file_of(tmp_path, 10).read_bytes())
    content[-1] ^= 1
    broken = {"flipped": bytes(content), "cut": bytes(content[:-7]), "emptied": b""}[damage]
    file_of(tmp_path, 10).write_bytes(broken)
    found, warnings = newest(tmp_path)
    assert found is not None
    assert found.step == 5
    assert len(warnings) == 1
    assert "step-00000010" in warnings[0]
    assert "passed over as damaged, expected checksum" in warnings[0]


def test_passes_over_checkpoint_of_other_settings(tmp_path):
    save(tmp_path, 5)
    found, warnings = newest(tmp_path, {**SETTINGS, "seed": 2})
    assert found is None
    assert "made with the settings" in warnings[0]


def test_passes_over_file_that_a_kill_left_half_written(tmp_path):
    save(tmp_path, 5)
    (tmp_path / ".step.safetensors").write_bytes(b"half")
    found, warnings = newest(tmp_path)
    assert found is not None
    assert found.step == 5
    assert warnings == []


def test_resumed_run_replaces_the_damaged_one_and_keeps_the_older(tmp_path):
    save(tmp_path, 5, 10)
    file_of(tmp_path, 10).write_bytes(b"")
    damaged = file_of(tmp_path, 10)
    damaged.rename(tmp_path / "step-00000010-0000000000000000.safetensors")
    save(tmp_path, 10)
    assert sorted(path.name[:13] for path in tmp_path.iterdir()) == ["step-00000005", "step-00000010"]
    found, warnings = newest(tmp_path)
    assert found is not None
    assert (found.step, warnings) == (10, [])


def state(step: int) -> Checkpoint:
    return Checkpoint(step, {"weight": torch.full((3,), float(step))})


def test_writer_writes_beside_its_caller_and_has_written_when_it_ends(tmp_path, monkeypatch):
    go_on = threading.Event()
    real = checkpoint.save_file
    monkeypatch.setattr(checkpoint, "save_file", lambda *given, **rest: go_on.wait(30) and real(*given, **rest))
    with CheckpointWriter(tmp_path, SETTINGS, minutes=0) as writer:
        assert writer.is_due()
        writer.write(state(5))
        assert newest(tmp_path) == (None, [])  # still being written, and the caller is here
        go_on.set()
        writer.write(state(6))
    assert sorted(path.name[:13] for path in tmp_path.iterdir()) == ["step-00000005", "step-00000006"]


def test_writer_is_due_after_its_minutes(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now)
    with CheckpointWriter(tmp_path, SETTINGS, minutes=2) as writer:
        now += 119
        assert not writer.is_due()
        now += 1
        assert writer.is_due()
        writer.write(state(1))
        assert not writer.is_due()


def test_writer_says_that_a_checkpoint_could_not_be_written(tmp_path):
    (tmp_path / "file").write_text("no folder")
    writer = CheckpointWriter(tmp_path / "file", SETTINGS, minutes=0)
    writer.write(state(1))
    with pytest.raises(FileExistsError, match="file"):
        writer.write(state(2))
    with pytest.raises(FileExistsError, match="file"), writer:
        pass


def test_writer_lets_the_error_pass_that_ends_the_training(tmp_path):
    writer = CheckpointWriter(tmp_path, SETTINGS, minutes=0)
    writer.write(state(1))
    with pytest.raises(KeyError, match="q1"), writer:
        raise KeyError("q1")
    assert newest(tmp_path)[0].step == 1
