"""A training from folder to folder: datasets in; model, log and the facts of the result out. Knows no store."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.models.encoder import Encoder
from tasks.train.checksums import is_finished, write_result
from tasks.train.config import TrainConfig
from tasks.train.data import Inputs, read_data
from tasks.train.events import LogRow, Report
from tasks.train.folders import LOG, MODEL, RESULT
from tasks.train.loop import train
from tasks.train.workers import Workers

_WAIT = 0.1  # seconds between two tries to take the lock


def run_training(
    inputs: Inputs,
    config: TrainConfig,
    *,
    out: Path,
    checkpoints: Path,
    device: str,
    workers: Workers,
    begin: Callable[[int], Callable[[Report], None]],
    warn: Callable[[str], None],
) -> None:
    """Train, and leave the result in a folder; nothing is done where it is there already.

    Args:
        inputs: plan, texts and start.
        config: how to train.
        out: gets the model and the log, and last of all the name of the training that they are of.
        checkpoints: holds checkpoints, a folder per training.
        device: `cpu` or `cuda`.
        workers: the processes that train together; the first one writes.
        begin: takes the number of steps, and returns what is called after each of them.
        warn: called for each checkpoint that is passed over, with the reason.

    Raises:
        FileNotFoundError: an input is no whole dataset.
        ValueError: plan and texts don't go together.
        RuntimeError: see `train`.
    """
    name = inputs.identity(config)
    with _alone(out, workers):
        if is_finished(out, name):
            return
        data = read_data(inputs)
        encoder = Encoder.load(inputs.encoder[0] / "model", device=device)
        log = train(
            encoder,
            data,
            config,
            checkpoints=checkpoints / name,
            report=begin(data.num_steps),
            warn=warn,
            workers=workers,
        )
        if workers.rank == 0:
            _write_result(encoder, log, out, name)


def _write_result(encoder: Encoder, log: Iterable[LogRow], out: Path, name: str) -> None:
    (out / RESULT).unlink(missing_ok=True)  # of another training
    shutil.rmtree(out / MODEL, ignore_errors=True)  # half of it may be there, of a killed run
    encoder.save(out / MODEL)
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in log]), out / LOG)
    write_result(out, name)


@contextmanager
def _alone(folder: Path, workers: Workers) -> Iterator[None]:
    """Wait until no other training writes here: a process whose parent was killed may take a moment to end.

    The first process takes the lock, and says so again and again: the others would give up waiting for a silent one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR)
    try:
        while not workers.agree(float(workers.rank == 0 and _take(lock))):
            time.sleep(_WAIT)
        yield
    finally:
        os.close(lock)


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
