"""Training in a process of its own: `python -m tasks.train.launch --plan … --tokens … --encoder … --recipe … --out …`.

Needs torch, transformers, safetensors, numpy, tokenizers and pyarrow alone, so that it runs on a bare GPU box; torchrun
starts one per GPU. Says how it goes as JSON lines on standard output; everything else goes to standard error.
"""

import argparse
import os
import re
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tasks.models.memory import ran_out_of_memory
from tasks.train.checksums import check_packed
from tasks.train.config import read_settings
from tasks.train.data import Inputs
from tasks.train.events import MEMORY_ADVICE, Meter, Report, emit, shorten
from tasks.train.session import run_training
from tasks.train.workers import join_workers, leave_workers

FAILED = 3  # exit status after an `error` line


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; return the exit status."""
    given = _parser().parse_args(arguments)
    if given.tied:
        _end_with_parent()
    events = os.dup(1)
    os.dup2(2, 1)  # what libraries print must not stand between the lines
    try:
        _train(given, events)
    except Exception as error:  # whatever it is, the process that started this one hears it in one line
        traceback.print_exc()
        kind, text = _explain(error)
        emit(events, "error", kind=kind, text=shorten(text))
        return FAILED
    return 0


def _train(given: argparse.Namespace, events: int) -> None:
    if given.packed and os.environ.get("RANK", "0") == "0":  # one of those that torchrun starts looks for all
        check_packed(given.packed)
    device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    workers = join_workers(device)
    say = partial(emit, events) if workers.rank == 0 else _say_nothing
    run_training(
        Inputs(**{one.name: tuple(getattr(given, one.name)) for one in fields(Inputs)}),
        read_settings(given.recipe),
        out=given.out,
        checkpoints=given.checkpoints or given.out / "checkpoints",
        device=device,
        workers=workers,
        begin=lambda num_steps: _reporter(say, num_steps),
        warn=lambda text: say("warning", text=shorten(text)),
    )
    leave_workers()
    say("end")


def _say_nothing(event: str, **values: Any) -> None:
    """Stand for `emit` in all processes but the first."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tasks.train.launch", description=__doc__)
    for one in fields(Inputs):
        name, needed = one.name.replace("_", "-"), one.default is MISSING
        parser.add_argument(
            f"--{name}", type=Path, nargs="+", default=(), required=needed, help=one.metadata["description"]
        )
    parser.add_argument("--recipe", type=Path, required=True, help="JSON file of the settings")
    parser.add_argument("--out", type=Path, required=True, help="folder for the result")
    parser.add_argument("--packed", type=Path, help="checksums of the files beside it, checked before anything else")
    parser.add_argument("--checkpoints", type=Path, help="folder for checkpoints; default: OUT/checkpoints")
    parser.add_argument(
        "--device", type=_device, help="cpu, cuda or a certain GPU, as cuda:1; default: cuda if there is one"
    )
    parser.add_argument(
        "--tied", action="store_true", help="end when standard input ends: its other end is held by a parent"
    )
    return parser


def _device(text: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"expected cpu, cuda or a certain GPU, as cuda:1, got {text}.")
    return text


def _reporter(say: Callable[..., None], num_steps: int) -> Callable[[Report], None]:
    say("begin", num_steps=num_steps)
    meter = Meter(num_steps, clock=time.monotonic)
    return lambda report: say("step", **meter.figures(report))


def _explain(error: Exception) -> tuple[str, str]:
    """Return the kind of an error and its text; out of memory reads as what to change."""
    if not ran_out_of_memory(error):
        return type(error).__name__, str(error)
    if error.__cause__ is not None:  # the training has said what to do
        return "memory", str(error)
    first = str(error).partition("\n")[0]
    return "memory", f"train: expected the training to fit into memory, got '{first}'. {MEMORY_ADVICE}"


def _end_with_parent() -> None:
    """End this process when its parent is gone, at once and for good: an orphan would write beside the next run.

    The parent holds the other end of standard input, and says nothing on it; the kernel closes it with the parent,
    however that ends. Every process below a torchrun inherits it.
    """
    if select.select([0], [], [], 0)[0]:
        _end()
    threading.Thread(target=_wait_for_end, daemon=True).start()


def _wait_for_end() -> None:
    os.read(0, 1)
    _end()


def _end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
