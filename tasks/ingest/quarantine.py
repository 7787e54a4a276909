"""Bad rows -> the quarantine dataset."""

import itertools
from collections.abc import Iterable, Iterator

import polars as pl

from tasks.ingest.rows import BadRow

PART_ROWS = 50_000
COLUMNS = {
    "source": pl.String,
    "line": pl.Int64,
    "field": pl.String,
    "reason": pl.String,
    "content": pl.String,
}


def bad_rows(rows: Iterable[object]) -> Iterator[BadRow]:
    """Yield the bad ones among what a reader yields."""
    return (row for row in rows if isinstance(row, BadRow))


def quarantine_parts(rows: Iterable[BadRow], *, part_rows: int = PART_ROWS) -> Iterator[pl.DataFrame]:
    """Yield frames of at most `part_rows` bad rows: source, line, field, reason with its details, content."""
    rest = iter(rows)
    while part := list(itertools.islice(rest, part_rows)):
        yield pl.DataFrame(
            [(row.source, row.line, row.field, f"{row.reason}: {row.got}", row.content) for row in part],
            schema=COLUMNS,
            orient="row",
        )
