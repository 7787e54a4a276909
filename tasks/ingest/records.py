"""Lines -> records: JSON objects, split columns, Parquet rows; each with its line and what to show of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import fsspec
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.ingest.lines import read_lines
from tasks.ingest.rows import BadRow, bad_row

PARQUET_BATCH_ROWS = 4096


class Record(NamedTuple):
    """One row of a file as it stands there: its line (in Parquet: row, from 1), fields and raw bytes."""

    line: int
    fields: Mapping[str, Any]
    raw: bytes


def read_records(path: str, file_format: str, names: Sequence[str], optional: str = "") -> Iterator[Record | BadRow]:
    """Yield the records of a table.

    Args:
        path: local path or fsspec URL.
        file_format: `jsonl`, `tsv` (the first line names the columns) or `parquet`.
        names: the columns to read; a TSV or Parquet file must have them.
        optional: one more column that may be missing.

    Raises:
        ValueError: a TSV or Parquet file lacks one of the columns.
        FileNotFoundError: there is no such file.
    """
    if file_format == "jsonl":
        return read_jsonl(path)
    if file_format == "parquet":
        return _read_parquet(path, names, optional)
    return read_tsv(path, names, headed=True)


def read_jsonl(path: str) -> Iterator[Record | BadRow]:
    """Yield one record per line; what is not a JSON object in UTF-8 is a bad row."""
    for line in read_lines(path):
        if isinstance(line, BadRow):
            yield line
            continue
        number, raw = line
        try:
            fields = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            yield _decoded(path, number, raw, str(error))
            continue
        if isinstance(fields, dict):
            yield Record(number, fields, raw)
        else:
            got = f"a JSON {type(fields).__name__}"
            yield bad_row(path, number, "broken JSON", got=got, content=raw)


def read_tsv(path: str, names: Sequence[str], *, headed: bool) -> Iterator[Record | BadRow]:
    """Yield one record per line.

    Args:
        path: local path or fsspec URL.
        names: the columns to read.
        headed: the first line names the columns. Else the lines have these columns and no others, split by tabs, or
            by any white space where a line has no tab (TREC's qrels).

    Raises:
        ValueError: the first line lacks one of the columns.
    """
    header = None if headed else names
    for line in read_lines(path):
        if isinstance(line, BadRow):
            yield line
            continue
        number, raw = line
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            yield _not_utf8(path, number, raw, error)
            continue
        values = text.split("\t") if headed or "\t" in text else text.split()
        if header is None:
            _check_columns(path, values, names)
            header = values
        elif len(values) == len(header):
            yield Record(number, dict(zip(header, values, strict=True)), raw)
        else:
            got = f"{len(values)} columns instead of {len(header)}"
            yield bad_row(path, number, "wrong number of columns", got=got, content=raw)


def _read_parquet(path: str, names: Sequence[str], optional: str) -> Iterator[Record | BadRow]:
    number = 0
    with fsspec.open(path, "rb") as file:
        try:
            table = pq.ParquetFile(file)
            _check_columns(path, table.schema_arrow.names, names)
            columns = [*names, *([optional] if optional in table.schema_arrow.names else [])]
            for batch in table.iter_batches(PARQUET_BATCH_ROWS, columns=columns):
                for fields in batch.to_pylist():
                    number += 1
                    yield Record(number, fields, orjson.dumps(fields, default=str))
        except (pa.ArrowInvalid, OSError) as error:
            got = f"{str(error).splitlines()[0]} after {number} rows"
            yield bad_row(path, None, "damaged Parquet", got=got)


def _check_columns(path: str, columns: Sequence[str], names: Sequence[str]) -> None:
    if missing := [name for name in names if name not in columns]:
        raise ValueError(
            f"{path}: expected columns {list(names)}, got {list(columns)} without {missing}. "
            "Name the file's columns in ingest.columns."
        )


def _decoded(path: str, number: int, raw: bytes, problem: str) -> BadRow:
    """Tell wrong bytes from wrong JSON."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return _not_utf8(path, number, raw, error)
    return bad_row(path, number, "broken JSON", got=problem, content=raw)


def _not_utf8(path: str, number: int, raw: bytes, error: UnicodeDecodeError) -> BadRow:
    got = f"byte 0x{raw[error.start]:02x} at offset {error.start} of the line"
    return bad_row(path, number, "not UTF-8", got=got, content=raw)
