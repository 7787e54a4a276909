"""Workers on a Ray cluster: that of RAY_ADDRESS, or one on this machine that ends with this process."""

import functools
import logging
import math
import os
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flows.configs import ResourcesConfig
from tasks.engine.shares import Place, Share, make_share
from tasks.engine.step import deferred

ray = deferred("ray")  # an extra, which reads the environment when it is imported

# Ray's processes end with the thread that started them, and a thread of a flow ends before the process does.
_STARTER = ThreadPoolExecutor(1, "ray")

_STORE_BYTES = 10**8  # about the least: only names travel


class Cluster:
    """An Engine: a task of Ray for each share, with a GPU of its own where the cluster has any."""

    def __init__(self, resources: ResourcesConfig) -> None:
        self._resources = resources

    @functools.cached_property
    def places(self) -> Sequence[Place]:
        """Look at the cluster's machines; they are taken to be alike."""
        _STARTER.submit(_connect).result()
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        num_gpus = 0 if self._resources.device == "cpu" else int(sum(one.get("GPU", 0) for one in machines))
        of_use = [one.get("CPU", 1) for one in machines if one.get("GPU" if num_gpus else "CPU")]
        number = self._resources.workers_on(num_gpus, int(sum(of_use)))
        threads = max(1, int(min(of_use) // math.ceil(number / len(of_use))))
        device = "cuda" if num_gpus else "cpu"
        return [Place(device, self._resources.batch_tokens_on(device), threads)] * number

    def __call__(self, shares: Sequence[Share], watch: Callable[[], None]) -> None:
        """Have the shares made; see `Engine`."""
        place = self.places[0]
        needs = {"num_cpus": place.threads, "num_gpus": int(place.device != "cpu")}
        worker = ray.remote(max_retries=0, max_calls=1, **needs)(make_share)
        pending = [worker.remote(share) for share in shares]
        try:
            while pending:
                done, pending = ray.wait(pending, timeout=1)
                watch()
                for one in done:
                    if (error := _answer(one, shares[0].step.name)) is not None:
                        raise error
        finally:
            for one in pending:
                ray.cancel(one, force=True)


def _answer(task: Any, name: str) -> Exception | None:
    try:
        error: Exception | None = ray.get(task)
    except ray.exceptions.RayTaskError as failure:
        last = str(failure).strip().splitlines()[-1]
        return RuntimeError(
            f"worker for {name}: expected Polyloom on every machine of the Ray cluster, got {last}. Install the same "
            "version on each."
        )
    except ray.exceptions.RayError as loss:
        logging.getLogger(f"polyloom.{name}").warning("Ray lost a worker (%s).", type(loss).__name__)
        return None
    return error


def _connect() -> None:
    """Join the cluster, or start one here that only this process can talk to; no telemetry either way."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS")
    if not address:  # it listens on the network, too: who has not this token gets no answer
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    if not ray.is_initialized():
        here = {} if address else {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **here)
