"""Lines -> records: JSON objects, split columns; each with its line and what to show of it."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import orjson

from tasks.ingest.lines import is_cut_off, read_lines
from tasks.ingest.rows import BadRow, DamagedFile, bad_row

_KEY = re.compile(rb'"\s*:')
_QUOTED = re.compile('"(?:[^"]|"")*"')
_OPEN = re.compile('"(?:[^"]|"")*')
_FIELD = re.compile('(?:^|\t)("(?:[^"]|"")*"(?=\t|$)|[^\t]*)')
_UNREADABLE = ("broken JSON", "not UTF-8", "wrong number of columns", "quote not closed")
_TITLES_OF_IDS = {"id", "qid", "queryid", "topic", "topicid", "docid", "corpusid"}
_TITLES_OF_VALUES = {"query", "querytext", "text", "question", "title", "iteration", "iter"}


class Record(NamedTuple):
    """One row of a file as it stands there: its line (in Parquet: row, from 1), fields and raw bytes."""

    line: int
    fields: Mapping[str, Any]
    raw: bytes


def read_jsonl(path: str, names: Sequence[str] = ()) -> Iterator[Record | BadRow]:
    """Yield one record per line; what is not a JSON object in UTF-8, every key once, is a bad row.

    Raises:
        ValueError: at the end; there are rows, and none has one of the `names`.
        DamagedFile: as `read_lines`; or not one line is a JSON object.
    """
    shown, missing = None, {*names}
    for row in _some_readable(path, (_object(path, number, raw) for number, raw in read_lines(path))):
        if missing and isinstance(row, Record):
            shown = shown or [*row.fields]
            missing -= row.fields.keys()
        yield row
    if shown and missing:
        check_columns(path, [name for name in shown if name not in missing], names)


def _object(path: str, number: int, raw: bytes) -> Record | BadRow:
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return _decoded(path, number, raw, str(error))
    if not isinstance(fields, dict):
        return bad_row(path, number, "broken JSON", got=f"a JSON {type(fields).__name__}", content=raw)
    if len(_KEY.findall(raw)) > len(fields) and (key := _repeated_key(raw)) is not None:
        return bad_row(path, number, "repeated JSON key", got="two of it", field=key, content=raw)
    return Record(number, fields, raw)


def _repeated_key(raw: bytes) -> str | None:
    """Find a key that one object has twice, of which a parser would keep the last value alone."""
    repeated: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        repeated.extend(name for place, name in enumerate(names) if name in names[:place])
        return dict(pairs)

    json.loads(raw, object_pairs_hook=note)
    return repeated[0] if repeated else None


def read_tsv(path: str, names: Sequence[str], *, headed: bool) -> Iterator[Record | BadRow]:
    """Yield one record per line.

    Quotes are taken off as spreadsheets and pandas put them on: of a text that begins and ends with one and has its
    inner ones doubled, or a tab, or a CR in it, or nothing; of every text, where the first line has all its columns in
    quotes. Any other quote is a character of the text.

    Args:
        path: local path or fsspec URL.
        names: the columns to read.
        headed: the first line names the columns. Else the lines have these columns and no others, split by tabs, or
            by any white space where a line has no tab (TREC's qrels).

    Raises:
        ValueError: the first line lacks one of the columns.
        DamagedFile: as `read_lines`; or not one line is a row.
    """
    return _some_readable(path, _closed(path, _split_lines(path, names, headed=headed)))


def _split_lines(path: str, names: Sequence[str], *, headed: bool) -> Iterator[Record | BadRow]:
    header, all_quoted = None if headed else names, None
    for number, raw in read_lines(path):
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            yield _not_utf8(path, number, raw, error)
            continue
        values = text.split("\t") if headed or "\t" in text else text.split()
        if '"' in text and header and len(values) > len(header):  # a tab inside quotes
            values = _FIELD.findall(text)
        if first := all_quoted is None:
            all_quoted = all(_QUOTED.fullmatch(value) for value in values)
        values = [_unquoted(value, all_quoted) for value in values]
        if header is None:
            check_columns(path, values, names)
            header = values
        elif len(values) != len(header):
            got = f"{len(values)} columns instead of {len(header)}"
            reason = "quote not closed" if values and _OPEN.fullmatch(values[-1]) else "wrong number of columns"
            yield bad_row(path, number, reason, got=got, content=raw)
        elif first and not headed and _names_columns(values):
            yield bad_row(path, number, "header line", got=repr(values)[:100], content=raw)
        else:
            yield Record(number, dict(zip(header, values, strict=True)), raw)


def _closed(path: str, rows: Iterable[Record | BadRow]) -> Iterator[Record | BadRow]:
    """Call a row bad that ends in an open quote, if the next line is no row: it is the rest of the text."""
    before: Record | None = None
    for row in chain(rows, [None]):
        if before:
            unfinished = isinstance(row, BadRow) and row.reason == "wrong number of columns"
            got = repr([*before.fields.values()][-1])[:100]
            bad = bad_row(path, before.line, "quote not closed", got=got, content=before.raw)
            yield bad if unfinished else before
        before = row if isinstance(row, Record) and _OPEN.fullmatch([*row.fields.values()][-1]) else None
        if row and not before:
            yield row


def _unquoted(value: str, all_quoted: bool) -> str:
    if not value.startswith('"') or not _QUOTED.fullmatch(value):
        return value
    inner = value[1:-1]
    needed = not inner or '""' in inner or "\t" in inner or "\r" in inner
    return inner.replace('""', '"') if all_quoted or needed else value


def _names_columns(values: Sequence[str]) -> bool:
    first, second = (re.sub("[^a-z]", "", value.lower()) for value in values[:2])
    return first in _TITLES_OF_IDS and second in _TITLES_OF_VALUES


def _some_readable(path: str, rows: Iterable[Record | BadRow]) -> Iterator[Record | BadRow]:
    """See that a file with lines has one that can be read, else it is of another kind than its name says; and its last.

    Raises:
        DamagedFile: at the end; it has none, or the last one breaks off.
    """
    first, last, good = None, None, False
    for row in rows:
        if last:
            yield last
        last = row if isinstance(row, BadRow) and row.reason in _UNREADABLE else None
        first = first or last
        if not last:
            good = good or isinstance(row, Record)
            yield row
    if first and not good:
        got = f"none; line {first.line}: {first.reason}, {first.got}"
        raise DamagedFile(path, None, "a line that can be read", got, "See that the file is what its name says")
    if last and is_cut_off(path):
        got = f"{last.reason}, {last.got}, and no line end"
        raise DamagedFile(path, last.line, "a last line that is whole", got)
    if last:
        yield last


def check_columns(path: str, columns: Sequence[str], names: Sequence[str]) -> None:
    """See that a table has the columns that are read.

    Raises:
        ValueError: it lacks one, or has one twice.
    """
    if missing := [name for name in names if name not in columns]:
        raise ValueError(
            f"{path}: expected columns {list(names)}, got {list(columns)} without {missing}. "
            "Name the file's columns in ingest.columns; where its first line names none, put such a line on top."
        )
    if repeated := sorted({name for name in columns if columns.count(name) > 1}):
        raise ValueError(f"{path}: expected every column once, got {repeated} twice. Rename or remove one of the two.")


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
