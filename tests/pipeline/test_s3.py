"""The tiny pipeline in a store on a real S3 server: killed, then built by two runs at once, equal to a local one."""

import os
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest
import yaml
from support.command import REPOSITORY
from support.tiny_model import write_tiny_encoder

from storage import inspect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BUILD = """
import sys
from pathlib import Path
from support.in_process import build_missing
from flows.configs import load_config
from flows.weave import weave

if __name__ == "__main__":
    folder, root = sys.argv[1:]
    settings = load_config(Path(folder, "tiny.yaml"), (f"storage.root={root}", f"encoder.model={folder}/model"))
    build_missing(weave(settings), root)
"""


SMALL = {
    "languages": ["sw"],
    "ingest": {"layout": "atlas", "atlas": {"documents_per_language": 80, "queries_per_language": 30}},
    "plan_batches": {"batch_size": 4, "num_negatives": 2, "num_epochs": 2, "topics": 2},
}


@pytest.fixture
def start(s3_server, tmp_path, tiny_settings):
    """Return a function that starts a run in a process of its own, on a machine of its own as far as copies go."""
    (tmp_path / "build.py").write_text(BUILD)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**tiny_settings, **SMALL}))
    write_tiny_encoder(tmp_path / "model")
    running = []

    def begin(root: str, machine: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            **s3_server.environment(),
            "XDG_CACHE_HOME": str(tmp_path / machine),
            "PYTHONPATH": f"{REPOSITORY / 'tests'}{os.pathsep}{REPOSITORY}",
        }
        command = [sys.executable, str(tmp_path / "build.py"), str(tmp_path), root]
        with (tmp_path / f"{machine}-{len(running)}.log").open("wb") as log:
            running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.wait()


def kill_when(process, there) -> None:
    """Kill a run at the moment when `there()` first holds."""
    while process.poll() is None and not there():
        time.sleep(0.01)
    assert process.poll() is None, "expected the run to be at work"
    process.kill()
    process.wait()


def committed(root):
    return {
        (ref.kind, ref.partition, ref.fingerprint): (
            content.content,
            [part.model_dump() for part in [*content.parts, *content.files]],
        )
        for ref, content in inspect.datasets(root)
    }


def test_killed_and_doubled_runs_on_s3_end_like_a_local_one(s3_server, start, tmp_path):
    root, local = s3_server.new_root(), str(tmp_path / "data")
    assert start(local, "c").wait() == 0
    with s3_server.used():
        filesystem, path = fsspec.core.url_to_fs(root, use_listings_cache=False)
        kill_when(start(root, "a"), lambda: filesystem.glob(f"{path}/embeddings/*/*/progress/00001.json"))
        assert filesystem.glob(f"{path}/embeddings/*/*/part-*.parquet")
        kill_when(start(root, "a"), lambda: filesystem.glob(f"{path}/hard_negatives/*/*/manifest.json"))
        kill_when(start(root, "a"), lambda: list((tmp_path / "a").glob("polyloom/*/scratch/work/*/checkpoints/*")))
        both = [start(root, "a"), start(root, "b")]
        assert [process.wait() for process in both] == [0, 0], [
            log.read_text()[-1000:] for log in sorted(Path(tmp_path).glob("*.log"))
        ]
        assert committed(root) == committed(local)
        assert not filesystem.glob(f"{path}/**/.tmp-*")
