"""Shards made by worker processes, of this machine and of Ray: the same datasets, whoever is lost on the way."""

import importlib.util
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import shared_steps
from support.loom import SURROUNDINGS
from support.stopping import check_stop, stop
from support.tiny_model import write_tiny_encoder

from flows.configs import PipelineConfig, ResourcesConfig
from flows.run.engines import engine_of
from flows.weave import weave
from storage import DamagedDataset, load
from tasks.engine.build import Surroundings, build
from tasks.engine.processes import Processes
from tasks.engine.shares import Engine, Place
from tasks.engine.step import Promise, deferred
from tasks.retrieve.config import QUERIES_AT_ONCE, SearchConfig
from tasks.steps import search_dense

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]

ray = deferred("ray")
WITH_RAY = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
PROCESSES = Processes([Place("cpu", 1024, 1)] * 2)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Engine]:
    """Give a Ray cluster of this machine with two workers."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED"):
            patch.setenv(name, "")
            patch.delenv(name)
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))  # its workers find the steps of tests
        engine = engine_of(ResourcesConfig(engine="ray", workers=2, batch_tokens=1024), "cpu")
        assert engine is not None
        yield engine
        ray.shutdown()


@pytest.fixture(params=["processes", pytest.param("ray", marks=WITH_RAY)])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Give each kind of engine, with two workers."""
    return PROCESSES if request.param == "processes" else request.getfixturevalue("cluster")


class Recorded:
    """An engine that notes what it was given."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self.places, self.given = engine, engine.places, []

    def __call__(self, shares, watch) -> None:
        self.given.append([(share.step.name, sorted(share.shards)) for share in shares])
        self._engine(shares, watch)


def built(promise: Promise, root: Path, surroundings: Surroundings = SURROUNDINGS) -> str:
    """Build a promise with all that it needs, and return its content hash."""
    for needed in promise.inputs.values():
        built(needed, root, surroundings)
    return build(promise, str(root), surroundings)[0].content


def held(tmp_path: Path, name: str, **arguments: int) -> tuple[Promise, Path]:
    """Promise rows that no worker makes before the file `hold` is gone."""
    folder = tmp_path / name
    folder.mkdir()
    (folder / "hold").touch()
    return shared_steps.rows(folder=str(folder), num_shards=6, **arguments), folder


def begun(folder: Path, number: int, *, but: frozenset[int] = frozenset()) -> dict[int, int]:
    """Wait until so many processes are at work on shards, and name them: process id -> shard."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        found = {int(pid): int(shard) for shard, pid in (path.name.split("-") for path in folder.glob("*-*"))}
        if len(at_work := {pid: shard for pid, shard in found.items() if pid not in but}) >= number:
            return at_work
        time.sleep(0.02)
    raise AssertionError(f"{number} workers did not come to work in {folder}: {os.listdir(folder)}")


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_workers_make_each_shard_once_and_the_same_dataset(tmp_path):
    seen = Recorded(PROCESSES)
    promise, folder = held(tmp_path, "marks")
    (folder / "hold").unlink()
    content = built(promise, tmp_path / "shared", replace(SURROUNDINGS, engine=seen))
    assert seen.given == [[("write_rows", [0, 2, 4]), ("write_rows", [1, 3, 5])]]
    made = [path.name.split("-") for path in folder.glob("*-*")]
    assert sorted(int(shard) for shard, _ in made) == list(range(6))
    assert len({pid for _, pid in made}) == 2
    assert str(os.getpid()) not in {pid for _, pid in made}
    assert content == built(promise, tmp_path / "alone")


def test_a_killed_workers_shards_are_made_again(engine, tmp_path, caplog):
    promise, folder = held(tmp_path, "marks")
    done: list[str] = []
    surroundings = replace(SURROUNDINGS, engine=engine)
    thread = in_thread(lambda: done.append(built(promise, tmp_path / "shared", surroundings)))
    first = begun(folder, 2)
    assert sorted(first.values()) == [0, 1]
    lost = min(first)
    os.kill(lost, signal.SIGKILL)
    time.sleep(0.2)
    (folder / "hold").unlink()
    thread.join(120)
    assert done == [built(promise, tmp_path / "alone")]
    again = [path.name for path in folder.glob(f"{first[lost]}-*") if path.name != f"{first[lost]}-{lost}"]
    assert again
    assert "lost workers have left 3 shards, which are handed out again." in caplog.text
    assert not list((tmp_path / "shared").rglob(".tmp-*"))


def test_a_workers_error_is_the_builds(engine, tmp_path):
    promise, folder = held(tmp_path, "marks", fails_at=3)
    (folder / "hold").unlink()
    with pytest.raises(ValueError, match=r"^write_rows: expected another shard, got 3\. Leave it out\.$"):
        built(promise, tmp_path / "store", replace(SURROUNDINGS, engine=engine))


def test_what_was_made_before_an_error_is_not_handed_out_again(tmp_path):
    promise, folder = held(tmp_path, "marks", fails_at=3)
    (folder / "hold").unlink()
    seen = Recorded(PROCESSES)
    for _ in range(2):
        with pytest.raises(ValueError, match="got 3"):
            built(promise, tmp_path / "store", replace(SURROUNDINGS, engine=seen))
    first, second = ({shard for _, shards in given for shard in shards} for given in seen.given)
    assert (first, 1 in second) == (set(range(6)), False)


def test_another_version_of_the_code_makes_no_shards(tmp_path):
    promise, folder = held(tmp_path, "marks")

    class Older(Recorded):
        def __call__(self, shares, watch) -> None:
            self._engine([replace(share, code="0" * 64) for share in shares], watch)

    with pytest.raises(RuntimeError, match="Install the same version of Polyloom on every machine"):
        built(promise, tmp_path / "shared", replace(SURROUNDINGS, engine=Older(PROCESSES)))
    assert [path.name for path in folder.iterdir()] == ["hold"]


def test_a_damaged_input_is_still_known_after_the_error_has_travelled():
    error = pickle.loads(pickle.dumps(DamagedDataset("s3://bucket/one", "s3://bucket/one/part", "expected bytes")))
    assert error.uri == "s3://bucket/one"
    assert str(error) == "s3://bucket/one/part: expected bytes. Run the pipeline again: it rebuilds this dataset."


def test_an_exact_search_in_batches_of_queries_is_the_same(tmp_path):
    documents = shared_steps.vectors("documents", number=40, seed=1)
    queries = shared_steps.vectors("queries", number=QUERIES_AT_ONCE + 50, seed=2)
    promise = search_dense("en", documents=documents, queries=queries, system="dense", search=SearchConfig(depth=2))
    seen = Recorded(PROCESSES)
    content = built(promise, tmp_path / "shared", replace(SURROUNDINGS, engine=seen))
    assert seen.given == [[("search_dense", [0]), ("search_dense", [1])]]
    assert content == built(promise, tmp_path / "alone")


def test_embedding_and_features_of_a_pipeline_are_the_same(tmp_path):
    """The judge's features come in shards of 256 train queries, the corpus in shards of a hundred documents."""
    write_tiny_encoder(tmp_path / "model")
    config = PipelineConfig.model_validate(
        {
            "languages": ["en"],
            "ingest": {"layout": "atlas", "atlas": {"documents_per_language": 800, "queries_per_language": 420}},
            "encoder": {"model": str(tmp_path / "model")},
            "retrieve": {"shard_size": 100, "fuse": {"top_k": 8}},
            "denoise": {"presumed_ranks": [4, 8]},
            "text": {"max_query_tokens": 24, "max_document_tokens": 48},
        }
    )
    features = next(one for one in weave(config, "denoise").promises if one.step.name == "find_features")
    seen = Recorded(PROCESSES)
    content = built(features, tmp_path / "shared", replace(SURROUNDINGS, engine=seen))
    assert [(given[0][0], len(given)) for given in seen.given] == [("embed_documents", 2), ("find_features", 2)]
    assert content == built(features, tmp_path / "alone")
    manifest = load(features.ref(str(tmp_path / "shared")))
    assert len(manifest.parts) == 2


STOPPED = """
import sys
from dataclasses import replace
from support import shared_steps
from support.loom import SURROUNDINGS
from flows.configs import ResourcesConfig
from flows.run.engines import engine_of
from flows.run.stop import UNDER_WAY, ending
from tasks.engine.build import build

folder, root, engine = sys.argv[1:]
promise = shared_steps.rows(folder=folder, num_shards=6)
UNDER_WAY[str(promise)] = ""
with ending(None):
    build(promise, root, replace(SURROUNDINGS, engine=engine_of(ResourcesConfig(engine=engine, workers=2), "cpu")))
"""


@pytest.mark.parametrize("name", ["processes", pytest.param("ray", marks=WITH_RAY)])
def test_a_stopped_run_leaves_no_worker(name, tmp_path):
    promise, folder = held(tmp_path, "marks")
    stopped = stop(
        ["-c", STOPPED, str(folder), str(tmp_path / "store"), name],
        signal.SIGINT,
        lambda: len(list(folder.glob("*-*"))) == 2,
        folder=tmp_path,
        environment={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        as_terminal=True,
    )
    check_stop(stopped, signal.SIGINT)
    (folder / "hold").unlink()
    assert built(promise, tmp_path / "store") == built(promise, tmp_path / "alone")


def test_two_workers_write_to_a_store_on_s3(s3_server, tmp_path):
    promise, folder = held(tmp_path, "marks")
    (folder / "hold").unlink()
    with s3_server.used():
        seen = Recorded(PROCESSES)
        manifest, _ = build(promise, s3_server.new_root(), replace(SURROUNDINGS, engine=seen))
    assert len(seen.given) == 1
    assert str(os.getpid()) not in {path.name.split("-")[1] for path in folder.glob("*-*")}
    assert manifest.content == built(promise, tmp_path / "alone")
