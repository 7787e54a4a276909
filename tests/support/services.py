"""The services of docker-compose.yml as plain processes: the same commands and settings, other places."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml
from support.command import REPOSITORY
from support.prefect_server import compose_environment, free_port

LOGIN = "operator:p@ss:w/rd#%"
DATABASE_PASSWORD = "d@ta:b/se#%"
_POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@dataclass
class Services:
    """Processes that end together, each with a log of its own."""

    folder: Path
    values: dict[str, str]
    places: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.values['POLYLOOM_PORT']}/api"

    def environment(self, service: str) -> dict[str, str]:
        """Return a service's environment in docker-compose.yml with the places of this machine."""
        own = {"PREFECT_HOME": str(self.folder / service), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        composed = compose_environment(service, self.values) | self.places
        return {**os.environ, "DO_NOT_TRACK": "1", "PATH": path, **composed, **own}

    def database(self, *words: str, **streams: Any) -> str:
        """Run a command of Postgres' own; return what it wrote."""
        there = {"PGHOST": "127.0.0.1", "PGPORT": self.places["PREFECT_SERVER_DATABASE_PORT"], "PGUSER": "prefect"}
        environment = {**os.environ, **there, "PGPASSWORD": DATABASE_PASSWORD}
        command = [str(_POSTGRES[-1] / words[0]), *words[1:]]
        return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, **streams).stdout

    def start(self, service: str, folder: Path | None = None, **variables: str) -> None:
        """Start a service by its command in docker-compose.yml."""
        composed = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
        command = [part.replace("$$", "$") for part in composed[service]["command"]]
        self.run(service, command, self.environment(service) | variables, folder)

    def run(self, name: str, command: list[str], environment: dict[str, str], folder: Path | None = None) -> None:
        """Start a process in a group of its own, so that all that it starts ends with it."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, cwd=folder or self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, name: str) -> None:
        """Kill a process with all that came of it, as a machine does that loses power."""
        process = self.running.pop(name)
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def await_(self, what: str, answers: Callable[[], object], seconds: float = 120) -> None:
        """Wait until something is so, as long as all processes run.

        Raises:
            RuntimeError: it is not so in time, or a process ended; with the ends of the logs.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and all(one.poll() is None for one in self.running.values()):
            with contextlib.suppress(OSError, httpx.TransportError):
                if answers():
                    return
            time.sleep(0.2)
        logs = "\n".join(f"--- {log}\n{log.read_text(errors='replace')[-3000:]}" for log in self.folder.glob("*.log"))
        raise RuntimeError(f"services: expected {what} within {seconds:.0f} s, got none.\n{logs}")


@contextlib.contextmanager
def services() -> Iterator[Services]:
    """Start Postgres, Redis, the server and its background services; whatever happens, they end with the block."""
    if not _POSTGRES or shutil.which("redis-server") is None:
        pytest.skip("services: expected Postgres and Redis, found none. Install postgresql and redis-server.")
    # Postgres refuses to run as root, and its user may not enter the test's own folders.
    with tempfile.TemporaryDirectory(prefix="polyloom-services-") as name:
        folder, ports = Path(name), [free_port() for _ in range(3)]
        folder.chmod(0o755)
        redis = f"redis://127.0.0.1:{ports[1]}"
        places = {
            "PREFECT_SERVER_DATABASE_HOST": "127.0.0.1",
            "PREFECT_SERVER_DATABASE_PORT": str(ports[0]),
            "PREFECT_REDIS_MESSAGING_URL": f"{redis}/0",
            "PREFECT_SERVER_DOCKET_URL": f"{redis}/1",
            "PREFECT_SERVER_API_HOST": "127.0.0.1",
            "PREFECT_SERVER_API_PORT": str(ports[2]),
            "PREFECT_API_URL": f"http://127.0.0.1:{ports[2]}/api",
            "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(folder / "ui"),
        }
        values = {
            "POSTGRES_PASSWORD": DATABASE_PASSWORD,
            "PREFECT_SERVER_API_AUTH_STRING": LOGIN,
            "POLYLOOM_PORT": str(ports[2]),
        }
        found = Services(folder, values, places)
        try:
            _start_postgres(found, ports[0])
            found.run("redis", ["redis-server", "--port", str(ports[1]), "--save", ""], dict(os.environ))
            found.await_("Postgres and Redis to listen", lambda: all(map(_listens, ports[:2])))
            found.start("server")
            found.await_("the server to answer", lambda: urllib.request.urlopen(f"{found.api}/health", timeout=5))
            found.start("services")
            yield found
        finally:
            for one in reversed(list(found.running)):
                found.kill(one)


def _start_postgres(services: Services, port: int) -> None:
    """Make a database as the image does: a user and a database named prefect, with a password."""
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    data, password = services.folder / "postgres", services.folder / "password"
    data.mkdir()
    password.write_text(DATABASE_PASSWORD)
    if as_user:
        shutil.chown(data, "postgres", "postgres")
        shutil.chown(password, "postgres")
    make = [
        _POSTGRES[-1] / "initdb",
        "-U",
        "prefect",
        "--auth=scram-sha-256",
        f"--pwfile={password}",
        "--no-sync",
        data,
    ]
    subprocess.run([*as_user, *make], check=True, capture_output=True, cwd="/")
    command = [*as_user, str(_POSTGRES[-1] / "postgres"), "-D", str(data), "-p", str(port), "-k", str(data)]
    services.run("postgres", [*command, "-c", "fsync=off"], dict(os.environ), Path("/"))
    services.await_("Postgres to listen", lambda: _listens(port))
    services.database("createdb", "prefect")


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        return True
