"""A training from folder to folder: datasets in; model, log and the facts of the result out. Knows no store."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.models.encoder import Encoder
from tasks.train import plan as plans
from tasks.train import texts
from tasks.train.folders import iter_tables
from tasks.train.inputs import Inputs
from tasks.train.loop import LogRow, Report, train
from tasks.train.recipe import Recipe
from tasks.train.result import LOG, MODEL, RESULT, finished
from tasks.train.side_inputs import read_pool, read_scores
from tasks.train.step import GradientCache
from tasks.train.tokens import open_tokens
from tasks.train.workers import Workers


def run_training(
    inputs: Inputs,
    recipe: dict[str, Any],
    *,
    out: Path,
    checkpoints: Path,
    checkpoint_steps: int,
    gradient_cache: GradientCache,
    device: str,
    workers: Workers,
    begin: Callable[[int], Callable[[Report], None]],
    warn: Callable[[str], None],
) -> None:
    """Train, and leave the result in a folder; nothing is done where it is there already.

    Args:
        inputs: plan, texts and start.
        recipe: the fields of `Recipe`.
        out: gets the model and the log, and last of all the name of the training that they are of.
        checkpoints: holds checkpoints, a folder per training.
        checkpoint_steps: steps between two of them.
        gradient_cache: see `train`.
        device: `cpu` or `cuda`.
        workers: the processes that train together; the first one writes.
        begin: takes the number of steps, and returns what is called after each of them.
        warn: called for each checkpoint that is passed over, with the reason.

    Raises:
        FileNotFoundError: an input is no whole dataset.
        ValueError: plan and texts don't go together.
        RuntimeError: see `train`.
    """
    name = inputs.identity(recipe)
    with _alone(out) if workers.rank == 0 else nullcontext():
        if finished(out, name):
            return
        needs = texts.count_needs(iter_tables(inputs.plan[0], texts.COLUMNS))
        encoder = Encoder.load(inputs.encoder[0] / "model", device=device)
        log = train(
            encoder,
            plans.iter_steps(iter_tables(inputs.plan[0], plans.COLUMNS)),
            num_steps=needs.num_steps,
            queries=open_tokens(inputs.tokens, role="query", wanted=needs.queries),
            documents=open_tokens(inputs.tokens, role="document", wanted=needs.documents),
            recipe=Recipe(**recipe),
            checkpoint_folder=checkpoints / name,
            checkpoint_steps=checkpoint_steps,
            report=begin(needs.num_steps),
            warn=warn,
            gradient_cache=gradient_cache,
            workers=workers,
            validation=read_pool(inputs.validation_tokens, inputs.validation_qrels)
            if inputs.validation_tokens
            else None,
            teacher=read_scores(inputs.teacher) if inputs.teacher else None,
        )
        if workers.rank == 0:
            _write_result(encoder, log, out, name)


def _write_result(encoder: Encoder, log: Iterable[LogRow], out: Path, name: str) -> None:
    (out / RESULT).unlink(missing_ok=True)  # of another training
    shutil.rmtree(out / MODEL, ignore_errors=True)  # half of it may be there, of a killed run
    encoder.save(out / MODEL)
    pq.write_table(pa.Table.from_pylist([asdict(row) for row in log]), out / LOG)
    temporary = out / f".{RESULT}"
    temporary.write_text(json.dumps({"training": name}) + "\n", encoding="utf-8")
    os.replace(temporary, out / RESULT)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other training writes here: a process whose parent was killed may take a moment to end."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
