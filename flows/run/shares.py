"""What a machine has one of: a step holds its share of the GPU or of the memory for a JVM, across all runs here."""

import contextlib
import fcntl
import logging
import os
import threading
from collections.abc import Iterator

from flows.configs import ResourcesConfig
from flows.run.engines import engine_of, num_gpus
from storage import backend
from tasks.engine.build import Surroundings
from tasks.engine.job import Progress
from tasks.engine.step import Promise, Resource

_NETWORKS = threading.Semaphore(1)  # on the CPU: of this process alone, so that no short run waits for a long one


@contextlib.contextmanager
def surroundings(promise: Promise, resources: ResourcesConfig, progress: Progress) -> Iterator[Surroundings]:
    """Wait for what a step needs, hold it, and say what the step may use."""
    device = resources.chosen_device() if promise.step.resource == "model" else "cpu"
    engine = engine_of(resources, device)
    with share(promise.step.resource, device, num_gpus(promise, engine)):
        yield Surroundings(device, resources.batch_tokens_on(device), os.cpu_count() or 1, progress, engine)


@contextlib.contextmanager
def share(resource: Resource, device: str, num_gpus: int = 1) -> Iterator[None]:
    """Wait until nobody else uses what a step needs, and hold it.

    A GPU and the JVM are held by the kernel's lock on a file in this user's cache: it asks no server, and is free when
    its holder dies, however it dies.

    Args:
        resource: that the step needs.
        device: that a network computes on.
        num_gpus: that it uses, those of this process from the first on, where the device is `cuda`.
    """
    if resource == "cpu" or (resource == "model" and device == "cpu"):
        with _NETWORKS if resource == "model" else contextlib.nullcontext():
            yield
        return
    with contextlib.ExitStack() as held:
        for name in ["jvm"] if resource == "jvm" else _gpus(device, num_gpus):  # all in one order: none waits for ever
            lock = held.enter_context((backend.cache() / f"{name}.lock").open("a"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                what = "Java" if resource == "jvm" else f"the device {name}"
                logging.getLogger("polyloom.share").info("waits until no other step uses %s.", what)
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _gpus(device: str, number: int) -> list[str]:
    """Name GPUs as the machine does, whichever of them CUDA_VISIBLE_DEVICES lets this process see."""
    seen = [one.strip() for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    first = int(device.partition(":")[2] or 0)
    named = [seen[place] if place < len(seen) and seen[place] else str(place) for place in range(first, first + number)]
    return [f"cuda-{one}" for one in sorted(named)]
