"""Turns: one build of a dataset at a time, in threads, in processes, after kills."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from storage import DatasetRef
from tasks.engine.turn import POLL_SECONDS, turn

pytestmark = pytest.mark.timeout(120)

TESTS = Path(__file__).parents[1]
LOG = logging.getLogger("polyloom.test")


@pytest.fixture
def ref(tmp_path):
    return DatasetRef(kind="qrels", partition="sw", fingerprint="f" * 32, root=str(tmp_path / "store"))


def start(ref: DatasetRef, code: str) -> subprocess.Popen[str]:
    """Run code in a process of its own; it finds `ref`, `turn`, `scratch`, `sweep`, `LOG`, `os`, `time` and `Path`."""
    head = f"""
        import logging, os, sys, time
        from pathlib import Path
        from storage import DatasetRef
        from tasks.engine import turn as module
        from tasks.engine.turn import scratch, sweep, turn
        ref, LOG = DatasetRef(**{ref.model_dump()!r}), logging.getLogger("polyloom.test")
    """
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


HOLD = """
    with turn(ref, LOG) as folder:
        (folder / "held").touch()
        time.sleep(100)
"""


def test_one_build_at_a_time_under_stress(ref):
    """Five processes, 200 turns: nobody is inside with another, and nobody meets a folder that goes away."""
    code = """
        module.POLL_SECONDS = 0.001
        for number in range(40):
            with turn(ref, LOG) as folder, scratch(folder, keep=number % 2 == 0) as work:
                inside = os.open(folder / "inside", os.O_CREAT | os.O_EXCL)  # fails if another is inside
                (work / "file").write_text(str(number))
                (folder / ".tmp-spooled").write_text("being written")
                time.sleep(0.0005)
                (folder / ".tmp-spooled").unlink()
                os.close(inside)
                (folder / "inside").unlink()
            sweep(ref)
    """
    processes = [start(ref, code) for _ in range(5)]
    told = [(process.communicate()[1], process.returncode) for process in processes]
    assert told == [("", 0)] * 5
    assert sorted(path.name for path in Path(ref.uri).iterdir()) == ["lock"]


def test_a_killed_holder_frees_the_turn(ref):
    holder = start(ref, HOLD)
    wait_for(Path(ref.uri, "held"))
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    Path(ref.uri, ".tmp-half").write_text("half a pa")
    with turn(ref, LOG) as folder:
        assert not list(folder.glob(".tmp-*"))


def test_a_waiting_run_says_for_whom_and_goes_on_after_a_kill(ref, caplog):
    caplog.set_level(logging.INFO)
    holder = start(ref, HOLD)
    wait_for(Path(ref.uri, "held"))
    entered = threading.Event()

    def wait():
        with turn(ref, LOG):
            entered.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not entered.wait(3 * POLL_SECONDS)
    holder.send_signal(signal.SIGKILL)
    assert entered.wait(60)
    waiting.join()
    holder.communicate()
    assert [line.partition(" on ")[0] for line in caplog.messages] == [
        f"waiting for another run that builds qrels/sw/ffffffffffff (pid {holder.pid}"
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait(ref, number):
    code = """
        class Told(logging.Handler):
            def emit(self, record):
                Path(ref.uri, "waits").touch()
        LOG.addHandler(Told())
        LOG.setLevel(logging.INFO)
        with turn(ref, LOG):
            pass
    """
    with turn(ref, LOG):
        waiting = start(ref, code)
        wait_for(Path(ref.uri, "waits"))
        waiting.send_signal(number)
        waiting.communicate(timeout=60)
        assert waiting.returncode == -number


def test_threads_of_one_process_take_turns(ref):
    inside, most = [0], [0]

    def work():
        for _ in range(5):
            with turn(ref, LOG):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_lock_file_that_a_person_removed_is_made_anew(ref):
    with turn(ref, LOG) as folder:
        (folder / "lock").unlink()
    with turn(ref, LOG) as folder:
        assert (folder / "lock").exists()
