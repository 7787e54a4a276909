"""Checkpoints of a training: complete or absent, checked on reading, without pickles.

A checkpoint is one safetensors file, `step-00000040-<checksum>.safetensors`, with the settings in its header.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from tasks.train.checksums import checksum

_KEPT = 2  # the newest, and one more should it be damaged


@dataclass(frozen=True)
class Checkpoint:
    """The state after a number of steps."""

    step: int
    tensors: dict[str, Tensor]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, settings: Mapping[str, object]) -> None:
    """Write a checkpoint under a temporary name, sync it to disk, rename it, and remove all but the newest two.

    Args:
        folder: holds this training's checkpoints; created.
        checkpoint: the state. Tensors must not share memory.
        settings: what decides the result: a run with others won't go on from here. Plain JSON values.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / ".step.safetensors"
    facts = {"settings": _canonical(settings), "step": str(checkpoint.step)}
    save_file(checkpoint.tensors, temporary, metadata=facts)
    _sync(temporary)
    name = f"step-{checkpoint.step:08d}"
    target = folder / f"{name}-{checksum(temporary)[:16]}.safetensors"
    os.replace(temporary, target)
    _sync(folder)
    earlier = [path for path in _newest_first(folder) if path.name < name]
    for path in _newest_first(folder):
        if path not in (target, *earlier[: _KEPT - 1]):  # those not earlier were passed over by this run
            path.unlink()


class CheckpointWriter:
    """Writes checkpoints in a thread, beside the training, one at a time and not too often."""

    def __init__(self, folder: Path, settings: Mapping[str, object], *, minutes: float) -> None:
        """Start the clock.

        Args:
            folder: see `save_checkpoint`.
            settings: see `save_checkpoint`.
            minutes: from the beginning of one checkpoint to that of the next; 0: each waits for the one before.
        """
        self._folder, self._settings, self._seconds = folder, settings, 60 * minutes
        self._last = time.monotonic()
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[None] | None = None

    def is_due(self) -> bool:
        """Say whether it is time for the next one.

        Raises:
            OSError: the last one could not be written.
        """
        if self._writing is not None and self._writing.done():
            self._writing.result()
        return time.monotonic() - self._last >= self._seconds

    def write(self, checkpoint: Checkpoint) -> None:
        """Begin to write a state that nobody changes any more, once the one before is written.

        Raises:
            OSError: the one before could not be.
        """
        if self._writing is not None:
            self._writing.result()
        self._last = time.monotonic()
        self._writing = self._thread.submit(save_checkpoint, self._folder, checkpoint, self._settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown()
        if self._writing is not None and kind is None:
            self._writing.result()


def newest_checkpoint(
    folder: Path, settings: Mapping[str, object], *, warn: Callable[[str], None]
) -> Checkpoint | None:
    """Read the newest sound checkpoint of these settings.

    Args:
        folder: holds the checkpoints; may be missing.
        settings: as given to `save_checkpoint`.
        warn: told of each checkpoint that is damaged or of other settings, and therefore passed over.

    Returns:
        The checkpoint, its tensors on the CPU, or None.
    """
    for path in _newest_first(folder):
        expected, found = path.stem.rpartition("-")[2], checksum(path)[:16]
        if found != expected:
            warn(f"checkpoint {path}: passed over as damaged, expected checksum {expected}, got {found}.")
            continue
        with safe_open(path, framework="pt") as file:
            facts = file.metadata()
        if facts["settings"] == _canonical(settings):
            return Checkpoint(int(facts["step"]), load_file(path))
        warn(f"checkpoint {path}: passed over, made with the settings {facts['settings']}.")
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"), reverse=True)


def _canonical(settings: Mapping[str, object]) -> str:
    return json.dumps(settings, sort_keys=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
