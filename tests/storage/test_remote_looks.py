"""One look at a remote store: few requests, and never an answer that another run has made untrue."""

from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest
from support.datasets import FACTS, qrels
from support.faulty_proxy import proxy_before
from support.loom import SURROUNDINGS, NumberConfig, double_numbers, make_numbers

import storage
from flows.run.pipeline import Pipeline, all_stored
from storage import DatasetRef, Writer, backend, commit, inspect
from tasks.engine.build import build, state


@pytest.fixture
def proxy(s3_server):
    with proxy_before(s3_server.url) as proxy, s3_server.used(proxy.url):
        yield proxy


def write(root, fingerprint, doc="a"):
    ref = DatasetRef(kind="qrels", partition="sw", fingerprint=fingerprint * 32, root=root)
    writer = Writer(ref)
    writer.write(qrels(doc))
    commit(writer, **FACTS)
    return ref


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_cached_run_of_50_datasets_asks_twice_for_each(proxy, s3_server):
    root = s3_server.new_root()
    made = [make_numbers(str(number), config=NumberConfig(values=(number,))) for number in range(25)]
    doubled = [double_numbers(str(number), numbers=one, factor=2) for number, one in enumerate(made)]
    pipeline = Pipeline.weave({"ingest": made, "retrieve": doubled}, [])
    for some in (made, doubled):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda promise: build(promise, root, SURROUNDINGS), some))
    proxy.requests.clear()
    proxy.seconds = 0.02
    results = all_stored(pipeline, root)
    assert [result.status for result in results] == ["cached"] * 50
    assert len(proxy.requests) == 100  # one listing, one manifest
    proxy.requests.clear()
    assert len(list(inspect.datasets(root, "qrels"))) == 50
    assert len(proxy.requests) == 51  # one listing of the kind


def test_damage_and_missing_files_are_seen_in_a_look(proxy, s3_server):
    root = s3_server.new_root()
    promise = make_numbers(config=NumberConfig())
    other = double_numbers(numbers=promise, factor=3)
    manifest, _ = build(promise, root, SURROUNDINGS)
    pipeline = Pipeline.weave({"ingest": [promise, other]}, [])
    assert all_stored(pipeline, root) is None
    build(other, root, SURROUNDINGS)
    assert len(all_stored(pipeline, root)) == 2
    uri = f"{promise.ref(root).uri}/{manifest.parts[0].name}"
    fsspec.filesystem("s3").pipe(uri, b"short")
    assert "expected" in state(promise, root).reason
    assert all_stored(pipeline, root) is None
    backend.remove(uri)
    assert "bytes, got none" in state(promise, root).reason
    assert state(promise, root).damaged


def test_what_another_run_writes_is_seen_at_the_next_look(root):
    first = write(root, "a")
    assert backend.names(f"{root}/qrels/sw") == ["a" * 32]
    filesystem, path = fsspec.core.url_to_fs(f"{root}/qrels/sw/{'b' * 32}/manifest.json")
    filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
    filesystem.pipe(path, backend.read_bytes(f"{first.uri}/manifest.json"))
    assert backend.names(f"{root}/qrels/sw") == ["a" * 32, "b" * 32]
    filesystem.rm(path)
    assert [ref.fingerprint[0] for ref, _ in inspect.datasets(root)] == ["a"]
    assert storage.find(first.model_copy(update={"fingerprint": "b" * 32})) is None


def test_own_write_ends_a_look(root):
    ref = write(root, "a")
    with backend.held([f"{root}/qrels"], "manifest.json"):
        other = write(root, "b")
        assert storage.load(other).fingerprint == "b" * 32
        assert backend.names(f"{root}/qrels/sw") == ["a" * 32, "b" * 32]
        backend.remove(f"{ref.uri}/manifest.json")
        assert storage.find(ref) is None


def test_look_answers_as_single_questions_do(root):
    ref = write(root, "a")
    part = storage.load(ref).parts[0]
    asked = [
        lambda: backend.names(f"{root}/qrels"),
        lambda: backend.names(f"{root}/qrels/sw"),
        lambda: backend.names(f"{root}/qrels/nothing"),
        lambda: backend.size(f"{ref.uri}/{part.name}"),
        lambda: backend.size(f"{ref.uri}/nothing"),
        lambda: backend.read_bytes(f"{ref.uri}/manifest.json"),
        lambda: storage.load(ref),
    ]
    if not root.startswith("memory:"):  # which writes one time in two ways
        asked.append(lambda: backend.version(f"{ref.uri}/{part.name}"))
    alone = [ask() for ask in asked]
    with backend.held([f"{root}/qrels"], "manifest.json"):
        assert [ask() for ask in asked] == alone
    with backend.held([f"{root}/nothing"], "manifest.json"):
        assert backend.names(f"{root}/nothing") == []
        with pytest.raises(FileNotFoundError):
            backend.read_bytes(f"{root}/nothing/manifest.json")
