"""A team's server and workers as docker-compose.yml has them, with the tiny pipeline among their configurations."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from support.command import REPOSITORY
from support.in_process import build_missing
from support.prefect_server import free_port
from support.receiver import Receiver
from support.services import LOGIN, Services, services
from support.tiny_model import write_tiny_encoder

from flows.configs import load_config
from flows.weave import weave

_DEPLOYED = ("flows", "tasks", "storage", "configs", "deploy", "benchmarks/ablation", "prefect.yaml")


@dataclass
class Operated:
    """`folder` is what the image calls /opt/polyloom; `receiver` is told what failed."""

    running: Services
    folder: Path
    client: SyncPrefectClient
    receiver: Receiver

    def start_worker(self, service: str, **variables: str) -> None:
        """Start a worker, and wait until it takes runs."""
        port = str(free_port())
        own = {"PREFECT_WORKER_WEBSERVER_PORT": port, "PREFECT_WORKER_QUERY_SECONDS": "2"}
        self.running.start(service, self.folder, **own, **self._path(), **variables)
        self.running.await_(f"{service} to answer", lambda: httpx.get(f"http://127.0.0.1:{port}/health").is_success)

    def command(self, *words: str) -> str:
        """Run a command as the operator does, in the worker's folder and surroundings."""
        environment = self.running.environment("worker") | self._path()
        done = subprocess.run(words, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def trigger(self, deployment: str, **parameters: Any) -> UUID:
        """Ask for a run of a deployment."""
        found = self.client.read_deployment_by_name(deployment)
        return self.client.create_flow_run_from_deployment(found.id, parameters=parameters).id

    def state(self, run: UUID) -> State[Any]:
        """Return what has become of a run."""
        state = self.client.read_flow_run(run).state
        assert state is not None
        return state

    def ended(self, run: UUID, seconds: float = 240) -> State[Any]:
        """Wait until a run has ended; return its state."""
        self.running.await_(f"the run {run} to end", lambda: self.state(run).is_final(), seconds)
        return self.state(run)

    def stages(self, run: UUID) -> dict[str, str]:
        """Return the flow runs inside one, by the stage: their ids."""
        wanted = {"flow_runs": {"parent_flow_run_id": {"any_": [str(run)]}}}
        found = self._found("/flow_runs/filter", wanted)
        names = {str(one["id"]): one["name"] for one in self._found("/flows/filter", {"limit": 200})}
        return {names[one["flow_id"]]: one["id"] for one in found}

    def built(self, run: UUID) -> tuple[list[str], int]:
        """Wait until all is told of a completed run; return what was built, and how many datasets were in the store."""
        message = str(self.ended(run).message)
        said = re.search(r"(\d+) of (\d+) datasets built", message)
        assert said, message
        built: list[str] = []

        def all_told() -> bool:
            wanted = {"flow_runs": {"id": {"any_": list(self.stages(run).values())}}}
            tasks = self._found("/task_runs/filter", wanted)
            built[:] = sorted(one["name"] for one in tasks if one["state_name"] == "Completed")
            return len(built) >= int(said[1])

        self.running.await_("all task runs to be told", all_told, 60)
        return built, int(said[2]) - int(said[1])

    def has_beaten(self, run: UUID) -> bool:
        """Say whether a run has told that it is alive."""
        wanted = {"event": {"name": ["prefect.flow-run.heartbeat"]}, "resource": {"id": [f"prefect.flow-run.{run}"]}}
        return bool(self._found("/events/filter", {"filter": wanted})["events"])

    def _found(self, path: str, wanted: dict[str, Any]) -> Any:
        return self.client.request("POST", path, json=wanted).json()

    def _path(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.folder)}


@contextlib.contextmanager
def operated(folder: Path, settings: dict[str, Any]) -> Iterator[Operated]:
    """Start all but the GPU's worker; the pipeline `configs/tiny.yaml` is built until plan_batches."""
    for name in _DEPLOYED:
        source, target = REPOSITORY / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    write_tiny_encoder(folder / "model")
    (folder / "configs" / "tiny.yaml").write_text(yaml.safe_dump(settings))
    with services() as running, Receiver().serving() as receiver:
        place = {PREFECT_API_URL: running.api, PREFECT_API_AUTH_STRING: LOGIN}
        with temporary_settings(place), get_client(sync_client=True) as client:
            team = Operated(running, folder, client, receiver)
            team.start_worker("worker", WORKER_OPTIONS="--work-queue default")
            here = (f"storage.root={folder / 'data'}", f"encoder.model={folder / 'model'}")
            tiny = load_config(folder / "configs" / "tiny.yaml", here)
            build_missing(weave(tiny, "plan_batches"), str(folder / "data"))
            yield team
