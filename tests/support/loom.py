"""A small pipeline of real steps: numbers, their doubles, the sum. For tests of steps, builds and flows."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl
from pydantic import Field
from support.steps import declare

from storage import DatasetRef, read
from tasks.engine.build import Surroundings
from tasks.engine.job import Job
from tasks.engine.step import Settings

CALLS: list[str] = []  # bodies that ran, in order

BEFORE_READING: list[Callable[[], None]] = []  # what happens to the store while `train_numbers` runs


class NumberConfig(Settings):
    """Settings of `make_numbers`."""

    values: tuple[int, ...] = (1, 2)
    speed: int = Field(default=1, exclude=True)


def _rows(values: list[int]) -> pl.DataFrame:
    return pl.DataFrame(
        {"query_id": ["q"] * len(values), "doc_id": [str(value) for value in values], "relevance": values},
        schema={"query_id": pl.String, "doc_id": pl.String, "relevance": pl.Int32},
    )


@declare(produces="qrels")
def make_numbers(job: Job, *, config: NumberConfig) -> None:
    """Write the configured numbers."""
    CALLS.append("make_numbers")
    job.out.write(_rows(list(config.values)))


@declare(produces="qrels")
def double_numbers(job: Job, *, numbers: DatasetRef, factor: int) -> None:
    """Multiply each number."""
    CALLS.append("double_numbers")
    job.out.write(_rows([value * factor for value in read(numbers)["relevance"]]))


@declare(produces="qrels")
def choose_numbers(job: Job, *, numbers: DatasetRef, split: str) -> None:
    """Pass a split's numbers on."""
    CALLS.append("choose_numbers")
    job.out.write(_rows([value + len(split) for value in read(numbers)["relevance"]]))


@declare(produces="qrels")
def sum_numbers(job: Job, *, parts: dict[str, DatasetRef]) -> None:
    """Add all up."""
    CALLS.append("sum_numbers")
    job.out.write(_rows([sum(sum(read(part)["relevance"]) for part in parts.values())]))


@declare(produces="qrels", resource="model")
def train_numbers(job: Job, *, numbers: DatasetRef | None = None) -> None:
    """Pass numbers on, or make them; holds the share of the network. Calls `BEFORE_READING` first."""
    CALLS.append("train_numbers")
    for disturb in BEFORE_READING:
        disturb()
    job.out.write(_rows(read(numbers)["relevance"].to_list() if numbers else [1, 2]))


@declare(produces="qrels", sharded=True)
def spread_numbers(job: Job, *, numbers: DatasetRef) -> None:
    """Write a shard per number; `CALLS` tells which."""
    values = read(numbers)["relevance"].to_list()
    for shard in job.out.missing(len(values)):
        CALLS.append(f"spread_numbers {shard}")
        job.out.write(_rows([values[shard]] * 2), shard=shard)


@declare(produces="qrels")
def fail(job: Job, *, numbers: DatasetRef) -> None:
    """Fail on purpose."""
    raise ValueError(f"fail: expected nothing, got {read(numbers)['relevance'].to_list()}. Do not use this step.")


@contextlib.contextmanager
def no_progress(total: int, unit: str) -> Iterator[Any]:
    """Draw nothing."""
    yield lambda done, note="": None


SURROUNDINGS = Surroundings(device="cpu", batch_tokens=1024, threads=1, progress=no_progress)
