"""What a training leaves in its folder, and whether it is whole."""

import json
from pathlib import Path

MODEL, LOG, RESULT = "model", "log.parquet", "result.json"


def training(out: Path) -> str | None:
    """Return the name of the training whose whole result a folder holds, or None."""
    path = out / RESULT
    if not path.is_file():
        return None
    name: str = json.loads(path.read_text(encoding="utf-8"))["training"]
    return name


def finished(out: Path, name: str) -> bool:
    """Say whether a folder holds the whole result of the training of this name."""
    return training(out) == name
