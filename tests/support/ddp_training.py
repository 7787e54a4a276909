"""Run by torchrun: the tiny training in several processes; the first one leaves weights and log.

Arguments: folder, the step after which to kill all with SIGKILL (0: none), then one or more trainings' names. The
environment variable DEVICE may be cuda.
"""

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file
from support.tiny_training import pool, run_training

from tasks.train.events import Report
from tasks.train.workers import join_workers, leave_workers

SETTINGS = {
    "chunk_tokens": 12,
    "temperature_learning_rate": 0.02,
    "matryoshka_dimensions": (16,),
    "validation_steps": 3,
}


def main(folder: Path, killed_after: int, names: list[str]) -> None:
    """Train with checkpoints in the folder `name`; write weights to `name`.0 and so on, and the log to `name`.json."""
    torch.set_num_threads(1)
    device = os.environ.get("DEVICE", "cpu")
    workers = join_workers(device)

    def report(done: Report) -> None:
        if done.num_done == killed_after:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in names:
        encoder, log = run_training(
            folder,
            checkpoints=name,
            report=report,
            workers=workers,
            device=device,
            validation=pool(folder / f"rank{workers.rank}"),
            tokens_folder=f"tokens{workers.rank}",
            **SETTINGS,
        )
        save_file({key: value.detach() for key, value in encoder.named_parameters()}, folder / f"{name}.{workers.rank}")
        if workers.rank == 0:
            (folder / f"{name}.json").write_text(json.dumps([asdict(row) for row in log]))
    leave_workers()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
