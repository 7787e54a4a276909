"""Start the training's process, hear how it goes, and say clearly why it ended if it did not end well."""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.train.memory import ADVICE

if TYPE_CHECKING:
    from tasks.train import launch  # noqa: F401 - runs in the process: so its code counts in the stage's fingerprint

_MODULE = "tasks.train.launch"
_ROOT = str(Path(__file__).parents[2])  # the folder that holds the package `tasks`
_TAIL = 2000  # characters of its standard error that are shown
_KILLED = -9


class TrainingFailed(RuntimeError):
    """The training's process did not end well; the text says why and what to do."""


class OutOfMemory(TrainingFailed):
    """It had too little memory; the text names the settings to change."""


def run(arguments: Sequence[str], *, num_processes: int, stderr: Path) -> Generator[dict[str, Any]]:
    """Run the training, and yield what it says, line by line; when it returns, the training has ended well.

    The process ends with this one, and with the iteration.

    Args:
        arguments: of `tasks.train.launch`.
        num_processes: how many train together; above 1 torchrun starts them.
        stderr: file for what else they say.

    Raises:
        TrainingFailed: it did not end well; carries its own message, or the end of its standard error.
        OutOfMemory: it had too little memory.
    """
    with (
        stderr.open("wb") as errors,
        subprocess.Popen(
            _command(arguments, num_processes),
            stdin=subprocess.PIPE,  # never written to: see `launch`
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_environment(),
        ) as process,
    ):
        failure: dict[str, Any] | None = None
        try:
            for line in process.stdout or ():
                event = _event(line)
                if event and event["event"] == "error":
                    failure = failure or event
                elif event:
                    yield event
            process.wait()
        finally:
            process.kill()
    if failure is not None:
        raise (OutOfMemory if failure["kind"] == "memory" else TrainingFailed)(failure["text"])
    if process.returncode:
        raise _ended(process.returncode, stderr)


def _command(arguments: Sequence[str], num_processes: int) -> list[str]:
    together = ["torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}", "-m"]
    return [sys.executable, "-m", *(together if num_processes > 1 else []), _MODULE, "--tied", *arguments]


def _environment() -> dict[str, str]:
    """Let the process find `tasks` from wherever this one was started."""
    path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path}


def _event(line: bytes) -> dict[str, Any] | None:
    """Return the event of a line; None for what torchrun may print between them."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _ended(status: int, stderr: Path) -> TrainingFailed:
    said = stderr.read_text(encoding="utf-8", errors="replace")
    if status == _KILLED or "Signal 9 (SIGKILL)" in said:
        return OutOfMemory(
            "train: expected the training's process to end by itself, got SIGKILL: the system kills a process so when "
            f"memory runs out. {ADVICE}"
        )
    return TrainingFailed(
        f"train: expected the training's process to end well, got exit status {status}. Its last words: "
        f"{said.strip()[-_TAIL:] or 'none'}"
    )
