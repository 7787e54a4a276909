"""Processes that this one started elsewhere end with it, even where it is killed."""

import os
import subprocess
import sys
import time

KILLED = """
import os, signal, subprocess
from tasks.engine.children import die_with_this
child = die_with_this(subprocess.Popen(["sleep", "300"], stdout=subprocess.DEVNULL))
print(child.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_watched_child_dies_with_a_killed_process():
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, cwd=os.getcwd(), check=False)
    pid, until = int(done.stdout), time.monotonic() + 60
    while lives(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not lives(pid)
