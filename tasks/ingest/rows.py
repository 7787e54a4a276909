"""What the readers yield: documents, queries, judgements, and bad rows, which are refused or go to quarantine.

A file that cannot be read to its end, or no line of it, is `DamagedFile` and an error whatever `on_bad_row` says: how
much is missing, nobody knows.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import polars as pl

MAX_CONTENT_CHARACTERS = 500
PART_ROWS = 50_000
QUARANTINE = {
    "source": pl.String,
    "line": pl.Int64,
    "field": pl.String,
    "reason": pl.String,
    "content": pl.String,
}

# reason -> (what a row must be, what to do about one that is not)
REASONS = {
    "broken JSON": ("one JSON object per line", "Correct the line"),
    "not UTF-8": ("UTF-8 text", "Write its texts as UTF-8; `iconv -f latin1 -t utf-8` does it for text files"),
    "repeated JSON key": ("every key once in an object", "Remove one of the two"),
    "wrong number of columns": ("the layout's columns", "Correct the line: columns are split by tabs"),
    "quote not closed": (
        "quoted texts that end on their line",
        "Write line breaks in texts as spaces, or the file as JSONL or Parquet",
    ),
    "header line": ("rows from the first line on", "Remove the line that names the columns, or use layout table"),
    "control character in id": ("an id without line breaks, NUL and the like", "Give the row another id"),
    "missing id": ("an id, which is a text or a whole number", "Give the row an id"),
    "reserved id": ("another id than 'all', which means stand under", "Give the query another id"),
    "not a text": ("a text", "Correct the row"),
    "empty text": ("a text that is not empty", "Fill in or remove the row"),
    "not a list of passages": ("a list of objects with docid, title and text", "Correct the row"),
    "duplicate id, same content": ("every id once", "Remove the repeated row"),
    "duplicate id, other content": ("every id once", "Give one of the two rows another id"),
    "query in two splits": ("every query in one split", "Remove its judgements from one of the splits"),
    "relevance not an integer": ("a whole number (0 and below = judged, not relevant)", "Correct the judgement"),
    "duplicate judgement": ("one judgement per query and document", "Remove the repeated row"),
    "contradictory judgement": ("one judgement per query and document", "Remove the wrong one of the two rows"),
    "unknown query": ("a query of the same split", "Add the query or remove its judgements"),
    "unknown document": ("a document of the corpus", "Add the document or remove the judgement"),
}


class Document(NamedTuple):
    """One document, and where it was read."""

    source: str
    line: int
    doc_id: str
    title: str
    text: str


class Query(NamedTuple):
    """One query, and where it was read; `split` is empty where its file does not tell."""

    source: str
    line: int
    query_id: str
    text: str
    split: str


class Judgement(NamedTuple):
    """One judgement, and where it was read; `relevance` 0 = judged not relevant."""

    source: str
    line: int
    query_id: str
    doc_id: str
    relevance: int
    split: str


def on_one_line(text: str) -> str:
    """Show what a file or library says without what would break the line or move a terminal's cursor."""
    return "".join(one if one.isprintable() else " " for one in text).strip()


class DamagedFile(ValueError):
    """A file that cannot be read: always an error."""

    def __init__(
        self, path: str, line: int | None, expected: str, got: str, cure: str = "Fetch the file again"
    ) -> None:
        place = path if line is None else f"{path}, line {line}"
        super().__init__(
            f"{place}: expected {expected}, got {on_one_line(got)}. {cure}; ingest.on_bad_row is about rows alone."
        )


class BadRow(NamedTuple):
    """A row that cannot be used; `reason` is a key of REASONS."""

    source: str
    line: int
    field: str
    reason: str
    got: str
    content: str

    @property
    def message(self) -> str:
        """The error's text: where, what was expected, what was there, what to do."""
        expected, cure = REASONS[self.reason]
        got = f"{on_one_line(self.got)} ({self.reason})"
        field = f", field '{on_one_line(self.field)}'" if self.field else ""
        return (
            f"{self.source}, line {self.line}{field}: expected {expected}, got {got}. "
            f"{cure}, or set ingest.on_bad_row to 'quarantine' to leave such rows out."
        )


Row = TypeVar("Row", Document, Query, Judgement)


def bad_row(source: str, line: int, reason: str, *, got: str, field: str = "", content: bytes | str = "") -> BadRow:
    """Describe a bad row; long content is cut, and what is not UTF-8 is shown as `\\xff`."""
    if isinstance(content, bytes):
        content = content[: 4 * MAX_CONTENT_CHARACTERS].decode(errors="backslashreplace")
    return BadRow(source, line, field, reason, got, content[:MAX_CONTENT_CHARACTERS])


def refuse(bad: BadRow) -> None:
    """Answer a bad row with an error.

    Raises:
        ValueError: always, with the row's file, line and cure.
    """
    raise ValueError(bad.message)


class Tally:
    """Answers bad rows by counting them per reason."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, bad: BadRow) -> None:
        """Count one bad row."""
        self.counts[bad.reason] += 1

    def __str__(self) -> str:
        return ", ".join(f"{number} × {reason}" for reason, number in sorted(self.counts.items()))


def good_rows(rows: Iterable[Row | BadRow], on_bad_row: Callable[[BadRow], None]) -> Iterator[Row]:
    """Yield the usable rows in their order and hand each of the others to `on_bad_row`."""
    for row in rows:
        if isinstance(row, BadRow):
            on_bad_row(row)
        else:
            yield row


def quarantine_parts(rows: Iterable[object], *, part_rows: int = PART_ROWS) -> Iterator[pl.DataFrame]:
    """Yield frames of the bad rows among what readers yield, at most `part_rows` in each.

    Returns:
        source, line, field, reason with its details, content.
    """
    rest = (row for row in rows if isinstance(row, BadRow))
    while part := list(itertools.islice(rest, part_rows)):
        yield pl.DataFrame(
            [(row.source, row.line, row.field, f"{row.reason}: {row.got}", row.content) for row in part],
            schema=QUARANTINE,
            orient="row",
        )
