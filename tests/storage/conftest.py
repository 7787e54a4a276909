"""A store on disk, one on a real S3 server, one on another file system of fsspec: the same tests run on each."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from support.s3_server import S3Server

from storage import DatasetRef


@pytest.fixture(params=["local", "s3", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path / "store")
    elif request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        with server.used():
            yield server.new_root()
    else:
        filesystem = fsspec.filesystem("memory")
        filesystem.store.clear()
        yield f"memory://store-{tmp_path.name}"
        filesystem.store.clear()


@pytest.fixture
def ref(root: str) -> DatasetRef:
    return DatasetRef(kind="qrels", partition="sw", fingerprint="f" * 32, root=root)
