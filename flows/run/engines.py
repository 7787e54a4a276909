"""Which engine makes the shards of a step, and where: see `resources.engine`."""

import os

from flows.configs import ResourcesConfig
from tasks.engine.processes import Processes
from tasks.engine.shares import Engine, Place
from tasks.engine.step import Promise, deferred

torch = deferred("torch")
on_ray = deferred("flows.run.on_ray")  # an extra


def engine_of(resources: ResourcesConfig, device: str) -> Engine | None:
    """Return the engine for a run's device; None where it would have one worker on this machine.

    Args:
        resources: the run's.
        device: `cpu`, `cuda` (then each worker has a GPU of its own), or one of several, as `cuda:1`.
    """
    if resources.engine == "ray":
        return on_ray.Cluster(resources)  # type: ignore[no-any-return]
    cores = os.cpu_count() or 1
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if device == "cuda" else []
    number = resources.workers_on(len(gpus) or int(device != "cpu"), cores)
    if resources.engine == "threads" or number == 1:
        return None
    devices, threads = gpus or [device], max(1, cores // number)
    return Processes(
        tuple(Place(devices[i % len(devices)], resources.batch_tokens_on(device), threads) for i in range(number))
    )


def num_gpus(promise: Promise, engine: Engine | None) -> int:
    """Return how many GPUs of this machine a step computes on at once, where it computes on any."""
    if promise.step.sharded and isinstance(engine, Processes):
        return len({place.device for place in engine.places})
    return getattr(promise.arguments.get("config"), "num_processes", 1)  # of a training
