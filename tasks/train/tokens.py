"""Texts as token ids: flat files on disk, memory-mapped, and a table that says where each text lies in them.

The n-th part of a `tokens` dataset has a row per text (role, language, id, num_tokens); `tokens/<n>.bin` beside it
holds their ids end to end, int32 and little-endian.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.models.layout import Role
from tasks.train.folders import part_paths
from tasks.train.plan import Key

Ids = npt.NDArray[np.int32]

FILES = "tokens"
_TYPE = "<i4"
_PIECE = 8192  # texts whose ids are gathered at a time
_NO_TEXTS = "Plan and texts must come from the same ingest."


class TokenTable:
    """The token ids of texts, memory-mapped, by (language, id)."""

    def __init__(self, files: Sequence[Ids], rows: Mapping[Key, int], place_R3: npt.NDArray[np.int64]) -> None:
        """Put files and rows together.

        Args:
            files: flat arrays of token ids.
            rows: the number of each text.
            place_R3: file, first and past-the-last position of each text.
        """
        self._files = files
        self._rows = rows
        self._place_R3 = place_R3

    @classmethod
    def of(cls, token_ids: Mapping[Key, Sequence[int]]) -> Self:
        """Make a table of lists in memory."""
        ends = np.cumsum([0, *map(len, token_ids.values())])
        flat = np.fromiter(chain.from_iterable(token_ids.values()), dtype=np.int32, count=int(ends[-1]))
        place_R3 = np.stack([np.zeros(len(token_ids), dtype=np.int64), ends[:-1], ends[1:]], axis=1)
        return cls([flat], {key: row for row, key in enumerate(token_ids)}, place_R3)

    def __getitem__(self, key: Key) -> Ids:
        return self._ids(self._rows[key])

    def keys(self) -> set[Key]:
        """The texts that are there."""
        return set(self._rows)

    def used_ids(self) -> set[int]:
        """The token ids that occur, read a piece at a time."""
        is_used_V = np.zeros(0, dtype=np.bool_)
        for start in range(0, len(self._place_R3), _PIECE):
            some = range(start, min(start + _PIECE, len(self._place_R3)))
            ids = np.concatenate([self._ids(row) for row in some])
            is_used_V = np.pad(is_used_V, (0, max(int(ids.max(initial=-1)) + 1 - len(is_used_V), 0)))
            is_used_V[ids] = True
        return set(np.flatnonzero(is_used_V).tolist())

    def _ids(self, row: int) -> Ids:
        file, start, end = self._place_R3[row]
        ids: Ids = self._files[file][start:end]
        return ids


def write_token_file(path: Path, token_ids: Iterable[Sequence[int]]) -> list[int]:
    """Write the ids of some texts end to end; the file appears whole or not at all.

    Returns:
        How many ids each text has.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    lengths = []
    with temporary.open("wb") as file:
        for ids in token_ids:
            lengths.append(len(ids))
            file.write(np.asarray(ids, dtype=_TYPE).tobytes())
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
    return lengths


def open_tokens(folders: Iterable[Path], *, role: Role, wanted: set[Key] | None) -> TokenTable:
    """Open the texts that are wanted out of some `tokens` datasets; their ids stay on disk until they are used.

    Args:
        folders: of the datasets, of any languages and roles.
        role: whose texts.
        wanted: language and id; others are passed over. None wants all.

    Raises:
        FileNotFoundError: a folder is no whole dataset.
        ValueError: a wanted text is missing or comes twice, or a file has not the ids that the rows count.
    """
    files: list[Ids] = []
    rows: dict[Key, int] = {}
    places = []
    for folder in folders:
        for number, part in enumerate(part_paths(folder)):
            table = pq.read_table(part, columns=["role", "language", "id", "num_tokens"])
            file = _map(folder / FILES / f"{number:05d}.bin", table["num_tokens"].to_numpy())
            found, place_R3 = _select(table, role, wanted, file=len(files))
            repeated = len(found) - len(set(found).difference(rows))
            rows.update({key: len(rows) + row for row, key in enumerate(found)})
            if repeated:
                raise ValueError(
                    f"train: expected each text of the {_plural(role)} once, got {repeated} of {folder} twice. Name "
                    "each dataset of tokens once."
                )
            files.append(file)
            places.append(place_R3)
    if missing := sorted((wanted or set()).difference(rows)):
        language, name = missing[0]
        raise ValueError(
            f"train: expected a text for each of the batch plan's {_plural(role)}, got none for {len(missing)}, first "
            f"'{name}' ({language}). {_NO_TEXTS}"
        )
    return TokenTable(files, rows, np.concatenate(places) if places else np.zeros((0, 3), dtype=np.int64))


def _select(
    table: pa.Table, role: Role, wanted: set[Key] | None, *, file: int
) -> tuple[list[Key], npt.NDArray[np.int64]]:
    """Return the wanted texts of one part, and where they lie in its file."""
    end = np.cumsum(table["num_tokens"].to_numpy(), dtype=np.int64)
    names = zip(*(table[column].to_pylist() for column in ("role", "language", "id")), strict=True)
    chosen = [
        (row, (language, name))
        for row, (own, language, name) in enumerate(names)
        if own == role and (wanted is None or (language, name) in wanted)
    ]
    row_R = np.array([row for row, _ in chosen], dtype=np.int64)
    start = end - table["num_tokens"].to_numpy()
    return [key for _, key in chosen], np.stack([np.full_like(row_R, file), start[row_R], end[row_R]], axis=1)


def _map(path: Path, num_tokens: npt.NDArray[np.int32]) -> Ids:
    total = int(num_tokens.sum(dtype=np.int64))
    size = path.stat().st_size if path.is_file() else None
    if size != 4 * total:
        raise ValueError(f"{path}: expected {4 * total} bytes, got {size}. Copy the dataset's folder whole.")
    return np.asarray(np.memmap(path, dtype=_TYPE, mode="r")) if total else np.zeros(0, dtype=np.int32)


def _plural(role: Role) -> str:
    return "queries" if role == "query" else "documents"
