"""Training in a process of its own: `python -m tasks.train.launch --plan … --tokens … --encoder … --recipe … --out …`.

Needs torch, transformers, safetensors, numpy, tokenizers and pyarrow alone, so that it runs on a bare GPU box; torchrun
starts one per GPU. Says how it goes as JSON lines on standard output; everything else goes to standard error.
"""

import argparse
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from tasks.train.events import Meter, emit, shorten
from tasks.train.loop import Report
from tasks.train.session import Inputs, run_training

FAILED = 3  # exit status after an `error` line

_MEMORY_ADVICE = (
    "Lower plan_batches.batch_size, plan_batches.num_negatives or train.max_document_tokens, or set "
    "train.gradient_checkpointing."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train; return the exit status."""
    given = _parser().parse_args(arguments)
    if given.tied:
        _end_with_parent()
    events = os.dup(1)
    os.dup2(2, 1)  # what libraries print must not stand between the lines
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    recipe = json.loads(given.recipe.read_text(encoding="utf-8"))
    try:
        run_training(
            Inputs(given.plan, tuple(given.tokens), given.encoder),
            recipe["recipe"],
            out=given.out,
            checkpoints=given.checkpoints or given.out / "checkpoints",
            checkpoint_steps=recipe["checkpoint_steps"],
            device=given.device or ("cuda" if torch.cuda.is_available() else "cpu"),
            begin=lambda num_steps: _reporter(events, num_steps),
            warn=lambda text: emit(events, "warning", text=shorten(text)),
        )
    except Exception as error:  # whatever it is, the process that started this one hears it in one line
        traceback.print_exc()
        kind, text = _explain(error)
        emit(events, "error", kind=kind, text=shorten(text))
        return FAILED
    emit(events, "end")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tasks.train.launch", description=__doc__)
    folder = "folder of the dataset"
    parser.add_argument("--plan", type=Path, required=True, help=f"{folder} batch_plan")
    parser.add_argument("--tokens", type=Path, nargs="+", required=True, help=f"{folder}s tokens, of all languages")
    parser.add_argument("--encoder", type=Path, required=True, help=f"{folder} encoder: where training starts")
    parser.add_argument("--recipe", type=Path, required=True, help="JSON file of the settings")
    parser.add_argument("--out", type=Path, required=True, help="folder for the result")
    parser.add_argument("--checkpoints", type=Path, help="folder for checkpoints; default: OUT/checkpoints")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda where there is one")
    parser.add_argument("--threads", type=int, help="threads of torch; default: torch's own choice")
    parser.add_argument(
        "--tied", action="store_true", help="end when standard input ends: its other end is held by a parent"
    )
    return parser


def _reporter(events: int, num_steps: int) -> Callable[[Report], None]:
    emit(events, "begin", num_steps=num_steps)
    meter = Meter(num_steps, clock=time.monotonic)
    return lambda report: emit(events, "step", **meter.figures(report))


def _explain(error: Exception) -> tuple[str, str]:
    """Return the kind of an error and its text; out of memory reads as what to change."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator: can't allocate" in str(error):
        first = str(error).partition("\n")[0]
        return "memory", f"train: expected the training to fit into memory, got '{first}'. {_MEMORY_ADVICE}"
    cause = error.__cause__
    kind = "memory" if isinstance(cause, torch.OutOfMemoryError) else type(error).__name__
    return kind, str(error)


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
