"""A real Prefect server as a process of its own, on a free port of this machine."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from support.command import REPOSITORY


@contextlib.contextmanager
def prefect_server(home: Path, *options: str, port: int = 0, **variables: str) -> Iterator[str]:
    """Start a server, wait until it answers, and yield its API's URL."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}/api"
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_API_URL": url,
        **variables,
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port), *options]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_for(f"{url}/health", server)
            yield url
        finally:
            server.terminate()
            server.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def compose_environment(service: str, values: Mapping[str, str]) -> dict[str, str]:
    """Return a service's environment in docker-compose.yml, with the values of a .env filled in."""
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))["services"]

    def value(place: re.Match[str]) -> str:
        return values.get(place[1]) or (place[2] or "").removeprefix(":-")

    return {
        name: re.sub(r"\$\{(\w+)(:-[^}]*)?(?::\?[^}]*)?\}", value, text)
        for name, text in services[service]["environment"].items()
    }


def wait_for(url: str, server: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Wait until a server answers.

    Raises:
        RuntimeError: it has ended, or does not answer in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"{url}: expected its server to run, got exit status {server.returncode}.")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)
    raise RuntimeError(f"{url}: expected an answer within {seconds:.0f} s.")
