"""A real S3 server behind a proxy that misbehaves: what is repeated, what is told, and whose write stands."""

import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest
from support.datasets import FACTS, qrels
from support.faulty_proxy import proxy_before

import storage
from storage import DatasetRef, StorageError, Writer, backend, commit, connect
from storage.connect import call


@pytest.fixture
def proxy(s3_server):
    """Put a proxy before the server; what this process asks goes through it."""
    with proxy_before(s3_server.url) as proxy, s3_server.used(proxy.url):
        yield proxy


@pytest.fixture
def ref(proxy, s3_server):
    return DatasetRef(kind="qrels", partition="sw", fingerprint="f" * 32, root=s3_server.new_root())


@pytest.fixture
def two_tries(monkeypatch):
    """Give up early, as fsspec's own configuration allows."""
    retries = {"mode": "standard", "total_max_attempts": 2}
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"retries": retries}})


def write(ref, *docs):
    writer = Writer(ref)
    for doc in docs:
        writer.write(qrels(doc))
    return commit(writer, **FACTS)


@pytest.mark.parametrize("fault", [500, 503, "reset", "cut"])
def test_three_faults_in_a_row_are_survived(ref, proxy, fault):
    proxy.faults = [fault] * 3
    write(ref, "a", "b")
    assert proxy.num_faults == 3
    proxy.faults = [fault] * 3
    assert storage.read(ref)["doc_id"].to_list() == ["a", "b"]
    assert proxy.num_faults == 6


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_tenth_of_all_requests_may_fail(ref, proxy):
    docs = [str(number) for number in range(20)]
    proxy.share = 0.1
    written = write(ref, *docs)
    storage.check_dataset(ref, storage.load(ref))
    assert storage.read(ref)["doc_id"].to_list() == docs
    assert proxy.num_faults >= 5
    proxy.share = 0.0
    assert storage.load(ref) == written


def test_slow_answers_are_waited_for(ref, proxy):
    proxy.seconds = 0.3
    write(ref, "a")
    assert storage.read(ref)["doc_id"].to_list() == ["a"]


@pytest.mark.parametrize("fault", [500, 503, "reset"])
def test_store_that_stays_away_is_one_sentence(ref, proxy, two_tries, fault):
    proxy.faults = [fault] * 1000
    with pytest.raises(
        StorageError, match=rf"^store '{ref.uri}/manifest.json': expected an answer, got: .*Check storage.root.*$"
    ) as caught:
        storage.load(ref)
    assert "\n" not in str(caught.value)
    assert 2 <= proxy.num_faults <= 20


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which is a full disk")
def test_full_disk_of_this_machine_is_not_blamed_on_the_store(ref):
    part = write(ref, "a").parts[0]
    with pytest.raises(OSError, match="No space left") as caught:
        call(f"{ref.uri}/{part.name}", lambda filesystem, path: filesystem.get_file(path, "/dev/full"))
    assert caught.value.errno == errno.ENOSPC


def test_users_own_fsspec_settings_stay_beside_the_retries(s3_server, monkeypatch):
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"max_pool_connections": 3}})
    with s3_server.used():
        config = call("s3://polyloom/x", lambda filesystem, _: filesystem.config_kwargs)
    assert config["max_pool_connections"] == 3
    assert config["retries"]["total_max_attempts"] == 8


def test_nobody_listening_is_one_sentence(s3_server, two_tries, ref):
    with (
        s3_server.used("http://127.0.0.1:9"),
        pytest.raises(StorageError, match=r"expected an answer, got: Could not connect .*AWS_ENDPOINT_URL"),
    ):
        storage.load(ref)


@pytest.mark.slow  # twice the time that an answer is waited for
def test_server_that_falls_silent_is_one_sentence_twice_the_time_of_a_request_later(ref, s3_server, monkeypatch):
    monkeypatch.setitem(connect._PATIENCE, "read_timeout", 6)
    with proxy_before(s3_server.url) as proxy, s3_server.used(proxy.url):
        write(ref, "a")
        proxy.seconds = 3600.0
        for at_least in (12, 10):  # at the second time it is asked as one that has never answered
            started = time.monotonic()
            with pytest.raises(StorageError, match=r"expected an answer, got: Read timeout .*AWS_ENDPOINT_URL"):
                storage.load(ref)
            assert at_least <= time.monotonic() - started < 60  # 3 s longer on a quiet machine
        proxy.seconds = 0.0
        assert storage.read(ref)["doc_id"].to_list() == ["a"]


@pytest.mark.parametrize("action", ["load", "write", "check"])
def test_wrong_key_is_one_sentence(s3_server, ref, action):
    with s3_server.used():
        good = write(ref, "a")
    actions = {
        "load": lambda: storage.load(ref),
        "write": lambda: write(ref, "a"),
        "check": lambda: storage.check_dataset(ref, good),
    }
    with (
        s3_server.used(None, AWS_SECRET_ACCESS_KEY="wrong"),
        pytest.raises(StorageError, match="expected permission, got: .*Check the"),
    ):
        actions[action]()


def test_no_key_at_all_is_one_sentence(s3_server, ref, tmp_path):
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}
    files = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"), "AWS_CONFIG_FILE": str(tmp_path / "none")}
    with (
        s3_server.used(None, **none, **files),
        pytest.raises(StorageError, match=r"expected permission, got: .*AWS_ACCESS_KEY_ID"),
    ):
        write(ref, "a")


def test_no_bucket_is_one_sentence(ref):
    other = ref.model_copy(update={"root": "s3://no-such-bucket/x"})
    told = r"^store 's3://no-such-bucket/x/.*': expected a bucket, got none of this name\. Make it, or mend"
    for action in (lambda: storage.load(other), lambda: write(other, "a"), lambda: backend.names(other.root + "/a")):
        with pytest.raises(StorageError, match=told):
            action()


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("s3://bucket/x", "expected its library, got: Install s3fs.* Run pip install 'polyloom[s3]' and run"),
        ("what://bucket/x", "expected a folder or s3://bucket/prefix, got another kind. Mend storage.root."),
    ],
)
def test_missing_library_is_one_sentence(uri, told):
    code = f"""
import sys
sys.modules["s3fs"] = None
from storage import StorageError, backend
try:
    backend.read_bytes({uri!r})
except StorageError as error:
    print(error)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout
    start, _, end = told.partition(".* ")
    assert output.startswith(f"store '{uri}': {start}")
    assert end in output
    assert output.count("\n") == 1


def test_first_of_two_writers_stands(ref):
    uri = f"{ref.uri}/manifest.json"
    backend.put_bytes(b"first", uri, only_new=True)
    with pytest.raises(FileExistsError):
        backend.put_bytes(b"second", uri, only_new=True)
    assert backend.read_bytes(uri) == b"first"
    backend.put_bytes(b"a refresh", uri)
    assert backend.read_bytes(uri) == b"a refresh"


def test_of_many_writers_at_once_one_stands(ref):
    def wrote(number):
        try:
            backend.put_bytes(b"%d" % number, f"{ref.uri}/manifest.json", only_new=True)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [number for number, first in enumerate(pool.map(wrote, range(8))) if first]
    assert len(won) == 1
    assert backend.read_bytes(f"{ref.uri}/manifest.json") == b"%d" % won[0]


def test_conflict_with_a_write_under_way_is_tried_again(ref, proxy):
    proxy.faults = [409]
    backend.put_bytes(b"x", f"{ref.uri}/manifest.json", only_new=True)
    assert proxy.num_faults == 1
    assert backend.read_bytes(f"{ref.uri}/manifest.json") == b"x"
    proxy.faults = [409]
    with pytest.raises(FileExistsError):
        backend.put_bytes(b"y", f"{ref.uri}/manifest.json", only_new=True)


def test_store_without_conditional_writes_gets_plain_ones(ref, proxy):
    uri = f"{ref.uri}/manifest.json"
    proxy.faults = [501]
    backend.put_bytes(b"x", uri, only_new=True)
    proxy.faults = [501]
    with pytest.raises(FileExistsError):
        backend.put_bytes(b"y", uri, only_new=True)
    assert backend.read_bytes(uri) == b"x"
    assert proxy.num_faults == 2
