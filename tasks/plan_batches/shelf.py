"""Shelf: arrays and ids that are put on disk and mapped, so that the tables of many languages need little memory."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa


class Shelf:
    """Puts finished columns away; what is not used for a while need not be in memory."""

    def __init__(self, folder: Path | None) -> None:
        """Open a shelf.

        Args:
            folder: a local folder of its own; None keeps everything in memory.
        """
        self._folder = folder
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def array(self, name: str, values: np.ndarray) -> np.ndarray:
        """Put an array away; returns the same numbers, read only when they are looked at."""
        if self._folder is None or not values.size:
            return values
        path = self._folder / f"{name}.npy"
        np.save(path, values)
        return np.asarray(np.load(path, mmap_mode="r"))

    def ids(self, name: str, values: pl.Series) -> pl.Series:
        """Put a column of ids away."""
        if self._folder is None or not len(values):
            return values
        path = self._folder / f"{name}.arrow"
        values.alias("id").to_frame().write_ipc(path, compression="uncompressed", record_batch_size=len(values))
        with pa.memory_map(str(path)) as mapped:
            column = pa.ipc.open_file(mapped).read_all().column(0)
        return pl.Series(values.name, column)
