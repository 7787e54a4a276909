"""Stop the command by a signal at a chosen moment, and look at what it leaves."""

import logging
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MOST_SECONDS = 15.0  # on a loaded machine; docs/reliability.md has what was measured alone

_MARK = "POLYLOOM_TEST_PROCESS"  # in the environment of a command and of all that it starts


@dataclass(frozen=True)
class Stop:
    """How a command ended after a signal."""

    exit_status: int
    seconds: float
    output: str
    left: list[int]
    """Processes that it had started and that still ran after its end."""


def stop(
    command: list[str],
    number: signal.Signals,
    there: Callable[[], bool],
    *,
    folder: Path,
    environment: dict[str, str],
    as_terminal: bool = False,
) -> Stop:
    """Start Python with a command, send it a signal at the moment when `there()` first holds, and see how it ends.

    Args:
        command: what follows `python`.
        number: the signal.
        there: when.
        folder: where it runs.
        environment: of the process.
        as_terminal: send the signal to the whole group, as Ctrl-C does.
    """
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env={**environment, _MARK: mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        while process.poll() is None and not there():
            time.sleep(0.01)
        assert process.poll() is None, process.communicate()[0]
        started = time.monotonic()
        (os.killpg if as_terminal else os.kill)(process.pid, number)
        process.wait(60)
        seconds = time.monotonic() - started
        return Stop(process.returncode, seconds, process.communicate(timeout=60)[0], _marked(mark))
    finally:
        for one in _marked(mark):
            os.kill(one, signal.SIGKILL)


def _marked(mark: str) -> list[int]:
    """Find the processes whose environment has this mark; one that has ended has none."""
    wanted, found = f"{_MARK}={mark}".encode(), []
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in place.read_bytes().split(b"\0"):
                found.append(int(place.parent.name))
        except OSError:  # it has just ended, or is another user's
            continue
    return found


def check_stop(stopped: Stop, number: signal.Signals, where: str = "in|at") -> None:
    """See that it ended in time, with one line on top of what the run has logged, and left nothing."""
    logging.getLogger("polyloom.tests").info("%s, %s: %.1f s", number.name, where, stopped.seconds)
    last = stopped.output.strip().splitlines()[-1]
    assert re.fullmatch(rf"polyloom: stopped( .*({where}).*)?; run the same command again to go on", last), last
    assert "Traceback" not in stopped.output
    assert stopped.exit_status == 128 + number
    assert stopped.left == []
    assert stopped.seconds < MOST_SECONDS
