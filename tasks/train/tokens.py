"""Texts as token ids: one flat array on disk and where each text ends in it."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.train.plan import Key

Ids = npt.NDArray[np.int32]

_TOKENS, _TEXTS = "tokens.bin", "texts.parquet"
_PIECE = 1 << 22  # token ids in memory at a time
_CHUNK = 1024  # texts per call of the tokenizer, so that few lists are in memory


class TokenTable:
    """The token ids of texts, memory-mapped, by (language, id)."""

    def __init__(self, tokens: Ids, end: npt.NDArray[np.int64], keys: Iterable[Key]) -> None:
        self.tokens = tokens
        self._start = np.concatenate([np.zeros(1, dtype=np.int64), end])
        self._row = {key: row for row, key in enumerate(keys)}

    def __getitem__(self, key: Key) -> Ids:
        row = self._row[key]
        return self.tokens[self._start[row] : self._start[row + 1]]

    def keys(self) -> set[Key]:
        """The texts that are there."""
        return set(self._row)

    def used_ids(self) -> set[int]:
        """The token ids that occur, read a piece at a time."""
        used: set[int] = set()
        for start in range(0, len(self.tokens), _PIECE):
            used.update(np.unique(self.tokens[start : start + _PIECE]).tolist())
        return used


def write_tokens(
    folder: Path,
    texts: Iterable[tuple[Key, str]],
    *,
    wanted: set[Key],
    tokenize: Callable[[list[str]], list[list[int]]],
    what: str,
) -> TokenTable:
    """Tokenize texts once, streaming, into a folder.

    The list of texts is renamed into place last: a folder that has one is complete.

    Args:
        folder: where the files go; created.
        texts: key and text; other texts than the wanted ones are passed over.
        wanted: the texts that training needs.
        tokenize: texts -> token ids with special tokens.
        what: `queries` or `documents`, for the error.

    Returns:
        The table, opened.

    Raises:
        ValueError: a wanted text is missing or comes twice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keys: list[Key] = []
    lengths: list[int] = []
    needed = ((key, text) for key, text in texts if key in wanted)
    with (folder / _TOKENS).open("wb") as file:
        for chunk in _chunks(needed):
            for (key, _), ids in zip(chunk, tokenize([text for _, text in chunk]), strict=True):
                keys.append(key)
                lengths.append(len(ids))
                file.write(np.asarray(ids, dtype="<i4").tobytes())
        file.flush()
        os.fsync(file.fileno())
    _check(keys, wanted, what)
    columns = {
        "language": [language for language, _ in keys],
        "id": [name for _, name in keys],
        "end": np.cumsum(np.asarray(lengths, dtype=np.int64)),
    }
    temporary = folder / f".{_TEXTS}"
    pq.write_table(pa.table(columns), temporary)
    os.replace(temporary, folder / _TEXTS)
    return _open(folder)


def open_tokens(folder: Path, wanted: set[Key]) -> TokenTable | None:
    """Open what `write_tokens` wrote, or return None where it is missing, cut short or holds other texts."""
    if not (folder / _TEXTS).exists() or not (folder / _TOKENS).exists():
        return None
    try:
        table = _open(folder)
    except (pa.ArrowException, OSError, ValueError):  # torn by a crash: written again
        return None
    return table if table.keys() == wanted else None


def _open(folder: Path) -> TokenTable:
    texts = pq.read_table(
        folder / _TEXTS, schema=pa.schema({"language": pa.string(), "id": pa.string(), "end": pa.int64()})
    )
    end = texts["end"].to_numpy()
    total = int(end[-1]) if len(end) else 0
    path = folder / _TOKENS
    if path.stat().st_size != 4 * total:
        raise ValueError(f"{path}: expected {4 * total} bytes, got {path.stat().st_size}. Tokenize again.")
    tokens = np.memmap(path, dtype="<i4", mode="r") if total else np.zeros(0, dtype=np.int32)
    return TokenTable(tokens, end, zip(texts["language"].to_pylist(), texts["id"].to_pylist(), strict=True))


def _chunks(items: Iterable[tuple[Key, str]]) -> Iterator[list[tuple[Key, str]]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _check(keys: list[Key], wanted: set[Key], what: str) -> None:
    if missing := sorted(wanted - set(keys)):
        language, name = missing[0]
        raise ValueError(
            f"train: expected a text for each of the batch plan's {what}, got none for {len(missing)}, first "
            f"'{name}' ({language}). Plan and texts must come from the same ingest."
        )
    if len(keys) != len(wanted):
        raise ValueError(
            f"train: expected each of the {what} once, got {len(keys)} texts for {len(wanted)} ids. "
            "Remove the duplicates."
        )
