"""Signals: heard whatever the main thread does, told once, obeyed at once the second time."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from support.command import REPOSITORY
from support.stopping import check_stop, stop


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "library"), [("plan", "polars"), ("check", "polars"), ("ls", "polars"), ("run", "_ssl")]
)
def test_commands_stop_while_they_load(tmp_path, command, library):
    (tmp_path / "one.yaml").write_text(yaml.safe_dump({"name": "one", "languages": ["en"]}), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PREFECT_HOME": str(tmp_path)}
    what = ["data"] if command == "ls" else ["one.yaml"]
    mine = f"{tmp_path}"
    loaded = lambda: any(mine in _folder(place) and library in _maps(place) for place in Path("/proc").glob("[0-9]*"))  # noqa: E731
    stopped = stop(["-m", "flows", command, *what], signal.SIGINT, loaded, folder=tmp_path, environment=environment)
    check_stop(stopped, signal.SIGINT)


def _folder(place):
    try:
        return os.readlink(place / "cwd")
    except OSError:
        return ""


def _maps(place):
    try:
        return (place / "maps").read_text()
    except OSError:
        return ""


SCRIPT = """
import ctypes, signal, threading
from pathlib import Path
from flows.run.stop import ending, listening
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever the tests run in
with listening(), ending(None, tell=%s):
    Path("there").touch()
    %s
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_main_thread_in_c_code_is_left(tmp_path, number):
    work = "ctypes.CDLL(None).sleep(3600)"
    script = SCRIPT % ("lambda ending: print(ending.how, flush=True)", work)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    stopped = stop(["-c", script], number, (tmp_path / "there").exists, folder=tmp_path, environment=environment)
    assert stopped.output == "stopped\npolyloom: stopped; run the same command again to go on\n"
    assert stopped.exit_status == 128 + number


def test_process_that_nohup_started_goes_on_when_its_terminal_is_closed(tmp_path):
    script = """
import os, signal
from flows.run.stop import listening
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with listening():
    os.kill(os.getpid(), signal.SIGHUP)
print("goes on")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout == "goes on\n"


def test_end_that_cannot_be_told_is_left_after_the_grace_time(tmp_path):
    script = SCRIPT % ("lambda ending: threading.Event().wait()", "threading.Event().wait()")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    there = (tmp_path / "there").exists
    stopped = stop(["-c", script], signal.SIGTERM, there, folder=tmp_path, environment=environment)
    assert stopped.output == "polyloom: stopped; run the same command again to go on\n"
    assert stopped.exit_status == 143
    assert stopped.seconds > 3


def test_second_signal_ends_at_once(tmp_path):
    script = SCRIPT % ("lambda ending: Path('telling').touch() or threading.Event().wait()", "threading.Event().wait()")
    script = f"import flows.run.stop; flows.run.stop.GRACE_SECONDS = 3600\n{script}"
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
    )
    for sign in ("there", "telling"):
        while not (tmp_path / sign).exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130


def test_how_a_run_ended_is_told_once(tmp_path):
    script = """
from flows.run.stop import ending
def run(work):
    ends = []
    try:
        with ending(None, tell=ends.append):
            work()
    except ValueError:
        pass
    print([(one.how, one.text) for one in ends])
run(lambda: None)
run(lambda: int("x"))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.splitlines() == [
        "[('completed', '')]",
        "[('failed', \"ValueError: invalid literal for int() with base 10: 'x'\")]",
    ]
