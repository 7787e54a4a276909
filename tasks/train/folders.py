"""Dataset folders as the store leaves them, read where the store's own code is not, and the folder of a result.

JSON and Parquet alone.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

MODEL, LOG, RESULT = "model", "log.parquet", "result.json"  # of a finished training

_ROWS = 2048  # in memory at a time: few enough that no step of the training waits for them


def part_paths(folder: Path) -> list[Path]:
    """Return the Parquet parts of a dataset, in order, as its manifest lists them.

    Raises:
        FileNotFoundError: the folder is no whole dataset; names what is missing.
    """
    paths = [folder / part["name"] for part in _manifest(folder)["parts"]]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise FileNotFoundError(
            f"{folder}: expected the part {missing[0]}, got no such file. Copy the dataset's folder whole."
        )
    return paths


def iter_tables(folder: Path, columns: Iterable[str]) -> Iterator[pa.Table]:
    """Yield a dataset's rows in order, some at a time."""
    wanted = list(columns)
    for path in part_paths(folder):
        with pq.ParquetFile(path) as file:
            for rows in file.iter_batches(batch_size=_ROWS, columns=wanted):
                yield pa.Table.from_batches([rows])


def partition(folder: Path) -> str:
    """Return a dataset's partition: its language, or `all`."""
    return str(_manifest(folder)["partition"])


def identity(folders: Iterable[Path], settings: Mapping[str, Any]) -> str:
    """Hash what some datasets hold, with settings: what names a training, wherever the folders lie."""
    held = sorted(json.dumps(_content(_manifest(folder)), sort_keys=True) for folder in folders)
    return hashlib.sha256(json.dumps([held, settings], sort_keys=True).encode()).hexdigest()[:32]


def _content(manifest: dict[str, Any]) -> list[Any]:
    files = {file["name"]: file["sha256"] for file in manifest["files"]}
    return [manifest["kind"], manifest["partition"], [part["sha256"] for part in manifest["parts"]], files]


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder}: expected a dataset's folder with manifest.json, got none. Name a folder of the store, or a "
            "copy of one."
        )
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
