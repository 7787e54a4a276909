import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support import ddp_training
from support.tiny_training import NUM_STEPS, pool, run_training, tiny_encoder

from tasks.train.events import Report
from tasks.train.workers import ALONE, Workers, join_workers


def torchrun(folder: Path, *names: str, killed_after: int = 0, check: bool = True) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [*command, ddp_training.__file__, str(folder), str(killed_after), *names],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
        check=check,
        capture_output=True,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold the encoder, so that the processes don't write it both at once."""
    for name in (".", "rank0", "rank1"):
        tiny_encoder(tmp_path / name / "encoder")
    return tmp_path


def test_share_gives_each_text_to_one_process_and_equal_work():
    lengths = [7, 1, 256, 30, 255, 12, 12, 90, 8]
    shares = Workers(0, 3).share(lengths)
    assert sorted(sum(shares, [])) == list(range(9))
    assert [len(share) for share in shares] == [3, 3, 3]
    assert shares == [[2, 6, 8], [4, 5, 0], [7, 3, 1]]  # longest first, there and back and there


def test_share_of_one_process_is_everything():
    assert sorted(ALONE.share([3, 9, 1])[0]) == [0, 1, 2]
    assert Workers(0, 4).share([5])[1:] == [[], [], []]


def test_gather_puts_embeddings_into_the_order_of_the_texts():
    own = torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    assert ALONE.gather(own, [1, 0], num_texts=2).tolist() == [[2.0, 2.0], [1.0, 1.0]]


def test_process_without_torchrun_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join_workers("cpu") == ALONE


def test_several_processes_do_not_take_the_same_gpu(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"expected cuda or cpu for several processes, got cuda:1\."):
        join_workers("cuda:1")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_equal_one_on_the_same_plan(folder):
    torchrun(folder, "two")
    reports: list[Report] = []
    encoder, log = run_training(folder, validation=pool(folder), report=reports.append, **ddp_training.SETTINGS)
    found = json.loads((folder / "two.json").read_text())
    for row, other in zip(map(asdict, log), found, strict=True):
        numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
        assert numbers == pytest.approx({name: other[name] for name in numbers}, rel=1e-4, abs=1e-5)
        assert row["validation_ndcg"] is None or row["step"] in (2, 5, 7)
    first, second = load_file(folder / "two.0"), load_file(folder / "two.1")
    for name, value in encoder.named_parameters():
        torch.testing.assert_close(first[name], value.detach(), rtol=1e-3, atol=2e-4)
        assert torch.equal(first[name], second[name]), name


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_killed_processes_resume_bit_for_bit(folder):
    torchrun(folder, "resumed", killed_after=5, check=False)
    assert not (folder / "resumed.json").exists()
    last = max((folder / "resumed").iterdir()).name[:13]
    assert last in ("step-00000003", "step-00000004")  # the fourth may have been half written
    torchrun(folder, "resumed", "undisturbed")
    log = (folder / "resumed.json").read_text()
    assert log == (folder / "undisturbed.json").read_text()
    assert len(json.loads(log)) == NUM_STEPS
    expected, resumed = load_file(folder / "undisturbed.0"), load_file(folder / "resumed.0")
    for name, value in expected.items():
        assert torch.equal(resumed[name], value), name
