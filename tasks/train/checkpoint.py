"""Checkpoints of a training: complete or absent, checked on reading, without pickles.

A checkpoint is one safetensors file, `step-00000040-<checksum>.safetensors`, with the settings in its header.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

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
