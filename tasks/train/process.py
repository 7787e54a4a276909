"""Start the training's process, pass on how it goes, and say clearly why it ended if it did not end well."""

import contextlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tasks.engine.children import start
from tasks.engine.job import Advance
from tasks.train.events import MEMORY_ADVICE

_ROOT = str(Path(__file__).parents[2])  # the folder that holds the package `tasks`
_TAIL = 2000  # characters of its standard error that are shown
_KILLED = -9
_LOG_SECONDS = 15.0  # between two lines of figures


class TrainingFailed(RuntimeError):
    """The training's process did not end well; the text says why and what to do."""


class OutOfMemory(TrainingFailed):
    """It had too little memory; the text names the settings to change."""


def run(module: str, arguments: Sequence[str], *, num_processes: int, stderr: Path) -> Generator[dict[str, Any]]:
    """Run the training, and yield what it says, line by line; when it returns, the training has ended well.

    The process ends with this one, and with the iteration.

    Args:
        module: `tasks.train.launch`. Not imported here, since it loads torch.
        arguments: its options.
        num_processes: how many train together; above 1 torchrun starts them.
        stderr: file for what else they say.

    Raises:
        TrainingFailed: it did not end well; carries its own message, or the end of its standard error.
        OutOfMemory: it had too little memory.
    """
    with (
        stderr.open("wb") as errors,
        start(
            _command(module, arguments, num_processes),
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


def follow(
    events: Generator[dict[str, Any]],
    bar: Callable[[int, str], AbstractContextManager[Advance]],
    log: logging.Logger,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Follow a training to its end; where this is interrupted, the training ends too.

    Args:
        events: as `run` yields them.
        bar: draws the bar, with the figures of the last step as its note.
        log: hears warnings, validations, and a line of figures now and then and at the last step.
        clock: seconds since some time.
    """
    last, done = clock(), 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.closing(events))
        for event in events:
            if event["event"] == "begin":
                advance = stack.enter_context(bar(event["num_steps"], "steps"))
            elif event["event"] == "warning":
                log.warning("%s", event["text"])
            elif event["event"] == "step":
                before, done, note = done, event["num_done"], describe(event)
                advance(done - before, note)
                if event["validation_ndcg"] is not None:
                    log.info("step %d: validation nDCG@10 %.4f", done, event["validation_ndcg"])
                if clock() - last >= _LOG_SECONDS or done == event["num_steps"]:
                    last = clock()
                    left = event["seconds_left"]
                    log.info("step %d of %d: %s, about %.0f s left", done, event["num_steps"], note, left)


def describe(step: dict[str, Any]) -> str:
    """Write a step's figures for people."""
    return (
        f"loss {step['loss']:.4f}, {step['examples_per_second']:.1f} examples/s, "
        f"{step['tokens_per_second']:.0f} tokens/s, {step['padding_share']:.0%} padding, "
        f"{step['memory_bytes'] / 1e9:.2f} GB"
    )


def _command(module: str, arguments: Sequence[str], num_processes: int) -> list[str]:
    together = ["torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}", "-m"]
    return [sys.executable, "-m", *(together if num_processes > 1 else []), module, "--tied", *arguments]


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
            f"memory runs out. {MEMORY_ADVICE}"
        )
    return TrainingFailed(
        f"train: expected the training's process to end well, got exit status {status}. Its last words: "
        f"{said.strip()[-_TAIL:] or 'none'}"
    )
