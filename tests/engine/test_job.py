"""The one rule of progress: a body tells what is newly done, the bar is told how much that is in all."""

import contextlib
import dataclasses
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.loom import SURROUNDINGS

from tasks.engine.job import Job


@pytest.fixture
def drawn():
    return []


@pytest.fixture
def job(drawn, tmp_path):
    @contextlib.contextmanager
    def progress(total, unit):
        drawn.append((total, unit))
        yield lambda done, note="": drawn.append((done, note))

    surroundings = dataclasses.asdict(SURROUNDINGS) | {"progress": progress}
    return Job(out=None, scratch=tmp_path, log=None, **surroundings)


def test_bar_adds_up_what_is_newly_done(job, drawn):
    with job.bar(10, "pairs") as advance:
        advance(4)
        advance(6, "loss 0.5")
    assert drawn == [(10, "pairs"), (4, ""), (10, "loss 0.5")]


def test_bar_counts_from_any_thread(job, drawn):
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with job.bar(4000, "pairs") as advance, ThreadPoolExecutor(8) as pool:
            list(pool.map(advance, [1] * 4000))
    finally:
        sys.setswitchinterval(interval)
    assert [done for done, _ in drawn[1:]] == list(range(1, 4001))


def test_two_bars_count_apart(job, drawn):
    with job.bar(2, "queries") as queries, job.bar(3, "documents") as documents:
        queries(1)
        documents(2)
        queries(1)
    assert drawn[2:] == [(1, ""), (2, ""), (2, "")]
