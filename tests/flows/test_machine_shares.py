"""One step at a time on a GPU or in a JVM, whichever run it belongs to; a dead holder keeps nobody waiting."""

import os
import subprocess
import sys
import threading

import pytest
from support.command import REPOSITORY

from flows.run.shares import share

HOLD = """
import sys
from flows.run.shares import share
with share(sys.argv[1], sys.argv[2]):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path, monkeypatch):
    """Start another process that holds a share until it is told, or killed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    started = []

    def hold(resource, device):
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-c", HOLD, resource, device]
        process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def take(resource, device, num_gpus=1):
    """Take a share in a thread; the event is set when it is held."""
    held = threading.Event()

    def work():
        with share(resource, device, num_gpus):
            held.set()

    threading.Thread(target=work, daemon=True).start()
    return held


@pytest.mark.parametrize(("resource", "device"), [("model", "cuda"), ("model", "cuda:1"), ("jvm", "cpu")])
@pytest.mark.parametrize("end", ["done", "killed"])
def test_another_process_is_waited_for_until_it_is_done_or_dies(holder, caplog, resource, device, end):
    caplog.set_level("INFO")
    other = holder(resource, device)
    held = take(resource, device)
    assert not held.wait(0.3)
    if end == "killed":
        other.kill()
    else:
        other.communicate("go on\n")
    assert held.wait(60)
    what = "Java" if resource == "jvm" else f"the device cuda-{device.partition(':')[2] or 0}"
    assert f"waits until no other step uses {what}." in caplog.messages


def test_the_first_gpu_has_one_share_whatever_it_is_called(holder):
    other = holder("model", "cuda")
    held = take("model", "cuda:0")
    assert not held.wait(0.3)
    other.kill()
    assert held.wait(60)


def test_training_on_several_gpus_holds_each_of_them(holder):
    others = [holder("model", "cuda:0"), holder("model", "cuda:2")]
    two = take("model", "cuda", 2)
    assert not two.wait(0.3)
    others[0].kill()
    assert two.wait(60)
    three = take("model", "cuda", 3)  # only now: it would hold the first two while it waits for the third
    assert not three.wait(0.3)
    others[1].kill()
    assert three.wait(60)


def test_a_gpu_is_the_same_whichever_a_process_sees(holder, monkeypatch):
    other = holder("model", "cuda:1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    seen = take("model", "cuda")
    assert not seen.wait(0.3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert take("model", "cuda").wait(60)
    other.kill()
    assert seen.wait(60)


def test_what_is_not_shared_waits_for_nobody(holder):
    holder("model", "cuda:0")
    holder("jvm", "cpu")
    holder("model", "cpu")
    for resource, device in (("model", "cuda:1"), ("model", "cpu"), ("cpu", "cpu")):
        assert take(resource, device).wait(60)
