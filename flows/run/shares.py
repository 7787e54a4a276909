"""What a machine has one of: a step holds its share of the GPU or of the memory for a JVM, across all runs here."""

import contextlib
import fcntl
import logging
import os
import threading
from collections.abc import Iterator

from flows.configs import ResourcesConfig
from flows.run.engines import engine_of
from storage import backend
from tasks.engine.build import Surroundings
from tasks.engine.job import Progress
from tasks.engine.step import Promise, Resource

_NETWORKS = threading.Semaphore(1)  # on the CPU: of this process alone, so that no short run waits for a long one


@contextlib.contextmanager
def surroundings(promise: Promise, resources: ResourcesConfig, progress: Progress) -> Iterator[Surroundings]:
    """Wait for what a step needs, hold it, and say what the step may use."""
    device = resources.chosen_device() if promise.step.resource == "model" else "cpu"
    with share(promise.step.resource, device, str(promise)):
        tokens, threads = resources.batch_tokens_on(device), os.cpu_count() or 1
        yield Surroundings(device, tokens, threads, progress, engine_of(resources, device))


@contextlib.contextmanager
def share(resource: Resource, device: str, label: str) -> Iterator[None]:
    """Wait until nobody else uses what a step needs, and hold it.

    A GPU and the JVM are held by the kernel's lock on a file in this user's cache: it asks no server, and is free when
    its holder dies, however it dies.

    Args:
        resource: that the step needs.
        device: that a network computes on.
        label: of the step, for the log.
    """
    if resource == "cpu" or (resource == "model" and device == "cpu"):
        with _NETWORKS if resource == "model" else contextlib.nullcontext():
            yield
        return
    name = "jvm" if resource == "jvm" else {"cuda": "cuda-0"}.get(device, device.replace(":", "-"))
    with (backend.cache() / f"{name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logging.getLogger("polyloom.run").info("%s: waiting for another step that uses %s", label, name)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
