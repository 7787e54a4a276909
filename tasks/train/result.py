"""What a training leaves in its folder, and whether it is whole."""

import json
from pathlib import Path

MODEL, LOG, RESULT = "model", "log.parquet", "result.json"


def finished(out: Path, name: str) -> bool:
    """Say whether a folder holds the whole result of the training of this name."""
    path = out / RESULT
    return path.is_file() and json.loads(path.read_text(encoding="utf-8"))["training"] == name
