"""A store on disk and one behind fsspec: the same tests run on both."""

from pathlib import Path

import fsspec
import pytest

from storage import DatasetRef


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param == "local":
        yield str(tmp_path / "store")
        return
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield f"memory://store-{tmp_path.name}"
    filesystem.store.clear()


@pytest.fixture
def ref(root: str) -> DatasetRef:
    return DatasetRef(kind="qrels", partition="sw", fingerprint="f" * 32, root=root)
