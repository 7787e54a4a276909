"""Files in one of four forms -> documents, queries and judgements, one after the other, in file order.

`table`: named columns in JSONL, TSV or Parquet (BEIR's files are such tables). `topics`: TSV of query id and text.
`trec`: qrels of query id, iteration, document id and relevance. `passages`: MIRACL's train JSONL, where a query
carries its judged passages.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tasks.ingest.records import Record, read_jsonl, read_records, read_tsv
from tasks.ingest.rows import BadRow, Document, Judgement, Query, bad_row

File = tuple[str, str, str]  # path, format (jsonl, tsv or parquet), split ("" where the file does not tell)

PASSAGE_LISTS = {"positive_passages": 1, "negative_passages": 0}
PASSAGE_COLUMNS = {"doc_id": "docid", "title": "title", "text": "text"}
_MAX_RELEVANCE = 2**31 - 1


def read_documents(files: Iterable[File], *, form: str, columns: Mapping[str, str]) -> Iterator[Document | BadRow]:
    """Yield the documents of a corpus.

    Args:
        files: the corpus's files in order; the split does not matter.
        form: `table` or `passages` (every judged passage of every query, repeats included).
        columns: the file's names of `doc_id`, `title` and `text`. Only the title may be missing or empty.

    Raises:
        ValueError: a TSV or Parquet file lacks a column.
        FileNotFoundError: a file does not exist.
    """
    for path, file_format, _ in files:
        if form == "passages":
            for record, passage, _relevance in _passages(path):
                yield record if isinstance(record, BadRow) else _document(path, record, passage, PASSAGE_COLUMNS)
        else:
            needed = [columns["doc_id"], columns["text"]]
            for record in read_records(path, file_format, needed, columns["title"]):
                yield record if isinstance(record, BadRow) else _document(path, record, record.fields, columns)


def read_queries(files: Iterable[File], *, form: str, columns: Mapping[str, str]) -> Iterator[Query | BadRow]:
    """Yield the queries.

    Args:
        files: files of queries with their splits.
        form: `table`, `topics` or `passages`.
        columns: the file's names of `query_id` and `query`.

    Raises:
        ValueError: a TSV or Parquet file lacks a column.
        FileNotFoundError: a file does not exist.
    """
    for path, file_format, split in files:
        if form == "topics":
            for row in read_tsv(path, 2):
                if isinstance(row, BadRow):
                    yield row
                else:
                    line, (query_id, text), raw = row
                    fields = {"query_id": query_id, "query": text}
                    yield _query(path, Record(line, fields, raw), {"query_id": "query_id", "query": "query"}, split)
            continue
        names = columns if form == "table" else {"query_id": "query_id", "query": "query"}
        for record in read_records(path, file_format, [names["query_id"], names["query"]]):
            yield record if isinstance(record, BadRow) else _query(path, record, names, split)


def read_judgements(files: Iterable[File], *, form: str, columns: Mapping[str, str]) -> Iterator[Judgement | BadRow]:
    """Yield the judgements.

    Args:
        files: files of judgements with their splits.
        form: `table`, `trec` or `passages` (positive passages are relevance 1, negative ones 0).
        columns: the file's names of `query_id`, `doc_id` and `relevance`.

    Raises:
        ValueError: a TSV or Parquet file lacks a column.
        FileNotFoundError: a file does not exist.
    """
    for path, file_format, split in files:
        if form == "trec":
            for row in read_tsv(path, 4):
                if isinstance(row, BadRow):
                    yield row
                else:
                    line, (query_id, _iteration, doc_id, grade), raw = row
                    yield _judgement(path, line, raw, (query_id, doc_id, grade), split)
        elif form == "passages":
            for record, passage, relevance in _passages(path):
                if isinstance(record, BadRow):
                    yield record
                else:
                    values = (record.fields.get("query_id"), passage.get("docid"), relevance)
                    yield _judgement(path, record.line, record.raw, values, split)
        else:
            names = [columns[name] for name in ("query_id", "doc_id", "relevance")]
            for found in read_records(path, file_format, names):
                if isinstance(found, BadRow):
                    yield found
                else:
                    fields = tuple(found.fields.get(name) for name in names)
                    yield _judgement(path, found.line, found.raw, fields, split)


def _passages(path: str) -> Iterator[tuple[Record | BadRow, dict[str, Any], int]]:
    for record in read_jsonl(path):
        if isinstance(record, BadRow):
            yield record, {}, 0
            continue
        for field, relevance in PASSAGE_LISTS.items():
            passages = record.fields.get(field) or []
            if isinstance(passages, list) and all(isinstance(passage, dict) for passage in passages):
                for passage in passages:
                    yield record, passage, relevance
            else:
                got = f"{type(passages).__name__} {str(passages)[:80]}"
                reason = "not a list of passages"
                yield bad_row(path, record.line, reason, got=got, field=field, content=record.raw), {}, 0


def _document(path: str, record: Record, fields: Mapping[str, Any], columns: Mapping[str, str]) -> Document | BadRow:
    doc_id = _identifier(fields.get(columns["doc_id"]))
    title = fields.get(columns["title"])
    text = fields.get(columns["text"])
    if doc_id is None:
        return _bad(path, record, columns["doc_id"], "missing id", fields.get(columns["doc_id"]))
    if title is None:
        title = ""
    if not isinstance(title, str):
        return _bad(path, record, columns["title"], "not a text", title)
    if not isinstance(text, str) and text is not None:
        return _bad(path, record, columns["text"], "not a text", text)
    if not text or text.isspace():
        return _bad(path, record, columns["text"], "empty text", text)
    return Document(path, record.line, doc_id, title, text)


def _query(path: str, record: Record, columns: Mapping[str, str], split: str) -> Query | BadRow:
    found, text = (record.fields.get(columns[name]) for name in ("query_id", "query"))
    query_id = _identifier(found)
    if query_id is None:
        return _bad(path, record, columns["query_id"], "missing id", found)
    if not isinstance(text, str) and text is not None:
        return _bad(path, record, columns["query"], "not a text", text)
    if not text or text.isspace():
        return _bad(path, record, columns["query"], "empty text", text)
    return Query(path, record.line, query_id, text, split)


def _judgement(path: str, line: int, raw: bytes, values: tuple[Any, ...], split: str) -> Judgement | BadRow:
    query_id, doc_id, relevance = _identifier(values[0]), _identifier(values[1]), _grade(values[2])
    record = Record(line, {}, raw)
    if query_id is None:
        return _bad(path, record, "query_id", "missing id", values[0])
    if doc_id is None:
        return _bad(path, record, "doc_id", "missing id", values[1])
    if relevance is None:
        return _bad(path, record, "relevance", "relevance not an integer", values[2])
    return Judgement(path, line, query_id, doc_id, relevance, split)


def _identifier(value: object) -> str | None:
    if isinstance(value, str) and value.strip():
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _grade(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,18}", value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_RELEVANCE:
        return value
    return None


def _bad(path: str, record: Record, field: str, reason: str, value: object) -> BadRow:
    return bad_row(path, record.line, reason, got=repr(value)[:100], field=field, content=record.raw)
