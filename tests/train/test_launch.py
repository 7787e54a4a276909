"""Training in a process of its own: what it imports, says and leaves, and how it ends."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from support.command import REPOSITORY
from support.dataset_folders import dataset_folder
from support.tiny_training import NUM_STEPS, run_training
from support.training_folders import training_arguments

from tasks.train.process import OutOfMemory, TrainingFailed
from tasks.train.process import run as run_module

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# What a bare GPU box has not: importing one of these ends the process.
BARE = """
import runpy, sys

class Absent:
    names = {"polars", "prefect", "pydantic", "faiss", "pyserini", "fsspec", "storage", "flows"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            sys.stderr.write(f"imported {name}\\n")
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.argv[0] = "launch"
runpy.run_module("tasks.train.launch", run_name="__main__")
"""


run = partial(run_module, "tasks.train.launch")


def launch(arguments, **rest):
    return subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False, **rest
    )


def events(stdout):
    return [json.loads(line) for line in stdout.splitlines()]


def test_trains_on_a_bare_box_and_leaves_what_the_loop_gives(tmp_path):
    done = launch(["-c", BARE, *training_arguments(tmp_path)])
    assert done.returncode == 0, done.stderr
    said = events(done.stdout)
    assert [event["event"] for event in said] == ["begin", *["step"] * NUM_STEPS, "end"]
    assert [event["num_done"] for event in said[1:-1]] == list(range(1, NUM_STEPS + 1))
    expected, log = run_training(tmp_path / "plain")
    assert [event["loss"] for event in said[1:-1]] == [row.loss for row in log]
    assert pq.read_table(tmp_path / "out" / "log.parquet").to_pylist() == [vars(row) for row in log]
    weights = load_file(tmp_path / "out" / "model" / "model.safetensors")
    for name, value in expected.backbone.named_parameters():
        assert torch.equal(weights[name], value.detach()), name


def test_says_speed_memory_and_the_time_left(tmp_path):
    arguments = training_arguments(tmp_path)
    step = next(event for event in run(arguments, num_processes=1, stderr=tmp_path / "err") if event["event"] == "step")
    assert step["examples_per_second"] > 0
    assert step["tokens_per_second"] > step["examples_per_second"]
    assert 1e7 < step["memory_bytes"] < 1e11
    assert step["seconds_left"] > 0


def test_finished_training_is_not_done_again_but_another_is(tmp_path):
    arguments = training_arguments(tmp_path)
    stderr = tmp_path / "err"
    assert len(list(run(arguments, num_processes=1, stderr=stderr))) == NUM_STEPS + 2
    before = (tmp_path / "out" / "model" / "model.safetensors").stat().st_mtime_ns
    assert [event["event"] for event in run(arguments, num_processes=1, stderr=stderr)] == ["end"]
    assert (tmp_path / "out" / "model" / "model.safetensors").stat().st_mtime_ns == before
    other = training_arguments(tmp_path, temperature=0.2)
    steps = [event["num_done"] for event in run(other, num_processes=1, stderr=stderr) if event["event"] == "step"]
    assert steps == list(range(1, NUM_STEPS + 1))  # from the beginning: the checkpoints are of another training


def test_killed_process_goes_on_and_ends_like_an_undisturbed_one(tmp_path):
    arguments = training_arguments(tmp_path, checkpoint_minutes=0)
    command = [sys.executable, "-m", "tasks.train.launch", *arguments]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) as process:
        wait_for(lambda: any((tmp_path / "out" / "checkpoints").glob("*/step-*")), process)
        process.kill()
    assert not (tmp_path / "out" / "result.json").exists()
    said = list(run(arguments, num_processes=1, stderr=tmp_path / "err"))
    assert said[1]["num_done"] > 1
    undisturbed = training_arguments(tmp_path, out="undisturbed")
    assert list(run(undisturbed, num_processes=1, stderr=tmp_path / "err"))
    assert weights(tmp_path / "out") == weights(tmp_path / "undisturbed")


@pytest.mark.parametrize("num_processes", [1, 2])
def test_ends_when_its_parent_is_killed(tmp_path, num_processes):
    """The parent is killed in mid-training; a slow machine's child must be gone soon after, and write nothing more."""
    arguments = training_arguments(tmp_path, checkpoint_minutes=0)
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom tasks.train.process import run\n"
        f"arguments = {arguments!r}\nstderr = Path({str(tmp_path / 'err')!r})\n"
        f"for event in run('tasks.train.launch', arguments, num_processes={num_processes}, stderr=stderr):\n"
        "    print(event['event'], flush=True)\n"
        "    time.sleep(3600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"begin\n"
        below = descendants(parent.pid)
        assert below
        parent.kill()
    deadline = time.monotonic() + 60
    while any(alive(pid) for pid in below) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in below if alive(pid)]


def test_orphan_that_is_just_starting_trains_nothing(tmp_path):
    """Standard input has ended before the process was ready to watch it."""
    arguments = training_arguments(tmp_path)
    done = launch(["-m", "tasks.train.launch", "--tied", *arguments], stdin=subprocess.DEVNULL)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()


def test_two_processes_train_as_one(tmp_path):
    arguments = training_arguments(tmp_path)
    said = list(run(arguments, num_processes=2, stderr=tmp_path / "err"))
    assert [event["event"] for event in said] == ["begin", *["step"] * NUM_STEPS, "end"]
    alone = training_arguments(tmp_path, out="alone")
    assert list(run(alone, num_processes=1, stderr=tmp_path / "err"))
    found, expected = (load_file(tmp_path / out / "model" / "model.safetensors") for out in ("out", "alone"))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=2e-4, rtol=0, msg=name)


def test_validates_on_a_pool_and_learns_from_a_teacher(tmp_path):
    pairs = [(f"q{n}", f"d{m}") for n in range(6) for m in range(6)]
    scores = [{"query_id": q, "doc_id": d, "judge": "fold-0", "raw": float(q[1] == d[1])} for q, d in pairs]
    qrels = [{"query_id": q, "doc_id": d, "relevance": int(q[1] == d[1])} for q, d in pairs]
    arguments = [
        *training_arguments(tmp_path, validation_steps=4, distillation_weight=0.5),
        "--validation-tokens",
        str(tmp_path / "tokens" / "query"),
        str(tmp_path / "tokens" / "document"),
        f"--validation-qrels={dataset_folder(tmp_path / 'qrels', 'qrels', qrels, partition='en')}",
        f"--teacher={dataset_folder(tmp_path / 'scores', 'scores', scores, partition='en')}",
    ]
    said = list(run(arguments, num_processes=1, stderr=tmp_path / "err"))
    validations = {event["num_done"]: event["validation_ndcg"] for event in said if event["event"] == "step"}
    assert [done for done, value in validations.items() if value is not None] == [4, 8]
    log = pq.read_table(tmp_path / "out" / "log.parquet").to_pylist()
    assert [row["validation_ndcg"] for row in log] == list(validations.values())
    with pytest.raises(TrainingFailed, match=r"expected validation queries for validation_steps 4, got none"):
        list(run(training_arguments(tmp_path, validation_steps=4), num_processes=1, stderr=tmp_path / "err"))


def test_error_of_the_training_reaches_the_parent(tmp_path):
    arguments = training_arguments(tmp_path)
    with pytest.raises(TrainingFailed, match=r"manifest\.json, got none\. Name a folder of the store"):
        list(run([*arguments, "--encoder=/nowhere"], num_processes=1, stderr=tmp_path / "err"))
    with pytest.raises(TrainingFailed, match=r"(?s)exit status 2\. Its last words: .*unrecognized arguments: --what"):
        list(run([*arguments, "--what"], num_processes=1, stderr=tmp_path / "err"))


def test_too_little_memory_names_the_settings_to_change(tmp_path):
    """Real exhaustion: the process may address one GiB more than it has when the training begins."""
    script = (
        "import resource, runpy, sys\nimport tasks.train.launch as launch\n"
        "def begin(steps):\n"
        "    used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))\n"
        "    return lambda report: launch.torch.zeros(2**33)\n"
        "launch._reporter = lambda say, steps: begin(steps)\n"
        "sys.exit(launch.main(sys.argv[1:]))\n"
    )
    done = launch(["-c", script, *training_arguments(tmp_path)])
    (said,) = [event for event in events(done.stdout) if event["event"] == "error"]
    assert said["kind"] == "memory"
    assert "Set train.gradient_cache to on, lower train.chunk_tokens" in said["text"]


@pytest.mark.parametrize("num_processes", [1, 2])
def test_waits_while_another_training_writes_there(tmp_path, num_processes):
    """No process of the new one begins before the other has ended; all of them stay awake meanwhile."""
    arguments = training_arguments(tmp_path)
    (tmp_path / "out").mkdir()
    ended: list[float] = []
    with (tmp_path / "out" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = run(arguments, num_processes=num_processes, stderr=tmp_path / "err")
        threading.Timer(10, lambda: (ended.append(time.monotonic()), fcntl.flock(lock, fcntl.LOCK_UN))).start()
        assert next(said)["event"] == "begin"
        assert ended
    assert [event["event"] for event in said] == [*["step"] * NUM_STEPS, "end"]


def test_says_which_devices_there_are(tmp_path):
    done = launch(["-m", "tasks.train.launch", *training_arguments(tmp_path), "--device=gpu"])
    assert done.returncode == 2
    assert "argument --device: expected cpu, cuda or a certain GPU, as cuda:1, got gpu." in done.stderr


def test_process_killed_by_the_system_names_the_settings_to_change(tmp_path):
    arguments = training_arguments(tmp_path, checkpoint_minutes=0)
    said = run(arguments, num_processes=1, stderr=tmp_path / "err")
    assert next(said)["event"] == "begin"
    (child,) = descendants(os.getpid(), command="tasks.train.launch")
    os.kill(child, signal.SIGKILL)
    with pytest.raises(OutOfMemory, match=r"got SIGKILL.*Set train\.gradient_cache to on"):
        list(said)


def weights(out):
    return (out / "model" / "model.safetensors").read_bytes()


def wait_for(condition, process):
    while process.poll() is None and not condition():
        time.sleep(0.001)
    assert process.poll() is None


def descendants(pid, command=""):
    """Processes below one, whose command line holds some text."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found, todo = [], [pid]
    while todo:
        above = todo.pop()
        below = [child for child, parent in parents.items() if parent == above]
        found += below
        todo += below
    return [child for child in found if command in Path(f"/proc/{child}/cmdline").read_text()]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
