"""A table, written as JSONL, TSV or Parquet -> records."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from storage.backend import open_file
from tasks.ingest.records import Record, check_columns, read_jsonl, read_tsv
from tasks.ingest.rows import BadRow, DamagedFile, bad_row

PARQUET_BATCH_ROWS = 4096
_UNHOLDABLE = (ValueError, OverflowError, pa.ArrowException)  # broken UTF-8, a date in the year 100,000


def read_records(path: str, file_format: str, names: Sequence[str], optional: str = "") -> Iterator[Record | BadRow]:
    """Yield the records of a table; `Raises` besides as the reader of its format.

    Args:
        path: local path or fsspec URL.
        file_format: `jsonl`, `tsv` (the first line names the columns) or `parquet`.
        names: the columns to read; a file must have them, one of JSONL in some row.
        optional: one more column that may be missing.

    Raises:
        ValueError: the file lacks one of the columns.
        FileNotFoundError: there is no such file.
    """
    if file_format == "jsonl":
        return read_jsonl(path, names)
    if file_format == "parquet":
        return _read_parquet(path, names, optional)
    return read_tsv(path, names, headed=True)


def _read_parquet(path: str, names: Sequence[str], optional: str) -> Iterator[Record | BadRow]:
    """Yield the rows; a value that Python cannot hold, such as a text that is not UTF-8, makes its row a bad one."""
    number = 0
    with open_file(path) as file:
        try:
            table = pq.ParquetFile(file, page_checksum_verification=True)
            check_columns(path, table.schema_arrow.names, names)
            columns = [*names, *([optional] if optional in table.schema_arrow.names else [])]
            for batch in table.iter_batches(PARQUET_BATCH_ROWS, columns=columns):
                for row in _rows_of(path, batch, number):
                    number += 1
                    yield row
            if number != table.metadata.num_rows:
                raise pa.ArrowInvalid(f"{table.metadata.num_rows} rows by its footer and another number")
        except (pa.ArrowException, UnicodeDecodeError, OSError, MemoryError, OverflowError) as error:
            got = f"{str(error).strip()[:200]} after {number} rows"
            raise DamagedFile(path, None, "a sound Parquet file", got) from error


def _rows_of(path: str, batch: pa.RecordBatch, before: int) -> Iterator[Record | BadRow]:
    try:
        found = batch.to_pylist()
    except _UNHOLDABLE:  # somewhere in it: row by row, to say where
        for place in range(batch.num_rows):
            yield _row_alone(path, batch.slice(place, 1), before + place + 1)
        return
    for place, fields in enumerate(found, before + 1):
        yield Record(place, fields, _shown(fields))


def _row_alone(path: str, row: pa.RecordBatch, number: int) -> Record | BadRow:
    fields: dict[str, Any] = {}
    for name, column in zip(row.schema.names, row.columns, strict=True):
        try:
            (fields[name],) = column.to_pylist()
        except UnicodeDecodeError as error:
            got = f"byte 0x{error.object[error.start]:02x} at offset {error.start} of the text"
            return bad_row(path, number, "not UTF-8", got=got, field=name, content=error.object)
        except _UNHOLDABLE as error:
            return bad_row(path, number, "not a text", got=f"{column.type}: {error}"[:100], field=name)
    return Record(number, fields, _shown(fields))


def _shown(fields: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(fields, default=str)
    except orjson.JSONEncodeError:  # nested deeper, or a number larger, than JSON takes
        return repr(fields).encode(errors="backslashreplace")
