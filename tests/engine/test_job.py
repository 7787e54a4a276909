"""The one rule of progress: a body tells what is newly done, the bar is told how much that is in all."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.loom import SURROUNDINGS


@pytest.fixture
def drawn():
    return []


@pytest.fixture
def job(drawn, tmp_path):
    @contextlib.contextmanager
    def progress(total, unit):
        def draw(done, note=""):
            time.sleep(0.002 * (done % 2))  # a drawer that another thread could overtake
            drawn.append((done, note))

        drawn.append((total, unit))
        yield draw

    return SURROUNDINGS.job("embed_queries", None, tmp_path, progress)


def test_bar_adds_up_what_is_newly_done(job, drawn):
    with job.bar(10, "pairs") as advance:
        advance(4)
        advance(6, "loss 0.5")
    assert drawn == [(10, "pairs"), (4, ""), (10, "loss 0.5")]


def test_bar_counts_from_any_thread_and_never_goes_back(job, drawn):
    with job.bar(64, "pairs") as advance, ThreadPoolExecutor(8) as pool:
        list(pool.map(advance, [1] * 64))
    assert [done for done, _ in drawn[1:]] == list(range(1, 65))


def test_two_bars_count_apart(job, drawn):
    with job.bar(2, "queries") as queries, job.bar(3, "documents") as documents:
        queries(1)
        documents(2)
        queries(1)
    assert drawn[2:] == [(1, ""), (2, ""), (2, "")]
