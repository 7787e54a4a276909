"""What a machine has one of: a step holds its share of the GPU or of the memory for a JVM, across all runs here."""

import contextlib
import fcntl
import logging
import threading
from collections.abc import Iterator

from storage import backend
from tasks.engine.step import Resource

_NETWORKS = threading.Semaphore(1)  # on the CPU: of this process alone, so that no short run waits for a long one


@contextlib.contextmanager
def share(resource: Resource, device: str) -> Iterator[None]:
    """Wait until nobody else uses what a step needs, and hold it.

    A GPU and the JVM are held by the kernel's lock on a file in this user's cache: it asks no server, and is free when
    its holder dies, however it dies.

    Args:
        resource: that the step needs.
        device: that a network computes on.
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
            what = "Java" if resource == "jvm" else f"the device {device}"
            logging.getLogger("polyloom.share").info("waits until no other step uses %s.", what)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
