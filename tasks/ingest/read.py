"""Files in one of four forms -> documents, queries and judgements, one after the other, in file order.

`table`: named columns in JSONL, TSV or Parquet (BEIR's files are such tables). `topics`: TSV of query id and text.
`trec`: qrels of query id, iteration, document id and relevance. `passages`: MIRACL's train JSONL, where a query
carries its judged passages.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tasks.ingest.records import Record, read_jsonl, read_tsv
from tasks.ingest.rows import BadRow, Document, Judgement, Query, bad_row
from tasks.ingest.tables import read_records

File = tuple[str, str, str]  # path, format (jsonl, tsv or parquet), split ("" where the file does not tell)

_PASSAGE_LISTS = {"positive_passages": 1, "negative_passages": 0}
_HEADERLESS = {"topics": ("query_id", "query"), "trec": ("query_id", "iteration", "doc_id", "relevance")}
_COLUMNS = {form: {name: name for name in names} for form, names in _HEADERLESS.items()} | {
    "passages": {name: name for name in ("query_id", "query", "title", "text", "relevance")} | {"doc_id": "docid"}
}  # of the forms that name their columns themselves, as `columns` does for a table
_MEAN = "all"  # a mean's id in metrics, where a query's values would stand beside it
_MAX_RELEVANCE = 2**31 - 1
_MAX_WHOLE_FLOAT = 2**53  # above, a float may stand for several whole numbers
# Line breaks and the like, and marks that turn the direction of what stands beside an id. A tab is white space.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
# White space, controls, and what Unicode lets a font leave out: zero-width characters, fillers, variation selectors.
_VISIBLE = re.compile(
    "[^\\s\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def read_documents(files: Iterable[File], *, form: str, columns: Mapping[str, str]) -> Iterator[Document | BadRow]:
    """Yield the documents of a corpus.

    Args:
        files: the corpus's files in order; the split does not matter.
        form: `table` or `passages` (every judged passage of every query, repeats included).
        columns: a table's names of `doc_id`, `title` and `text`. The title may be missing; one of the two texts may
            be empty.

    Raises:
        ValueError: a file lacks a column, or cannot be read to its end (DamagedFile).
        FileNotFoundError: a file does not exist.
    """
    columns = _COLUMNS.get(form, columns)
    for path, file_format, _ in files:
        names = [columns["doc_id"], columns["text"]]
        for record in _records(path, file_format, form, names, columns["title"]):
            yield record if isinstance(record, BadRow) else _document(path, record, columns)


def read_queries(files: Iterable[File], *, form: str, columns: Mapping[str, str]) -> Iterator[Query | BadRow]:
    """Yield the queries.

    Args:
        files: files of queries with their splits.
        form: `table`, `topics` or `passages`.
        columns: a table's names of `query_id` and `query`.

    Raises:
        ValueError: a file lacks a column.
        FileNotFoundError: a file does not exist.
    """
    columns = _COLUMNS.get(form, columns)
    for path, file_format, split in files:
        names = [columns["query_id"], columns["query"]]
        for record in read_jsonl(path) if form == "passages" else _records(path, file_format, form, names):
            yield record if isinstance(record, BadRow) else _query(path, record, columns, split)


def read_judgements(files: Iterable[File], *, form: str, columns: Mapping[str, str]) -> Iterator[Judgement | BadRow]:
    """Yield the judgements.

    Args:
        files: files of judgements with their splits.
        form: `table`, `trec` or `passages` (positive passages are relevance 1, negative ones 0).
        columns: a table's names of `query_id`, `doc_id` and `relevance`.

    Raises:
        ValueError: a file lacks a column.
        FileNotFoundError: a file does not exist.
    """
    columns = _COLUMNS.get(form, columns)
    for path, file_format, split in files:
        names = [columns[name] for name in ("query_id", "doc_id", "relevance")]
        for record in _records(path, file_format, form, names):
            yield record if isinstance(record, BadRow) else _judgement(path, record, columns, split)


def _records(
    path: str, file_format: str, form: str, names: Sequence[str], optional: str = ""
) -> Iterator[Record | BadRow]:
    if form in _HEADERLESS:
        return read_tsv(path, _HEADERLESS[form], headed=False)
    return _passages(path) if form == "passages" else read_records(path, file_format, names, optional)


def _passages(path: str) -> Iterator[Record | BadRow]:
    """Yield a record per passage of a query, with the query's id and the relevance that its list says."""
    for record in read_jsonl(path):
        if isinstance(record, BadRow):
            yield record
            continue
        for field, relevance in _PASSAGE_LISTS.items():
            passages = record.fields.get(field) or []
            if isinstance(passages, list) and all(isinstance(passage, dict) for passage in passages):
                judged = {"query_id": record.fields.get("query_id"), "relevance": relevance}
                for passage in passages:
                    yield record._replace(fields=passage | judged)
            else:
                got = f"{type(passages).__name__} {str(passages)[:80]}"
                yield bad_row(path, record.line, "not a list of passages", got=got, field=field, content=record.raw)


def _document(path: str, record: Record, columns: Mapping[str, str]) -> Document | BadRow:
    given, title, text = _values(record, columns, "doc_id", "title", "text")
    doc_id = _identifier(path, record, columns["doc_id"], given)
    if isinstance(doc_id, BadRow):
        return doc_id
    if not isinstance(title, str | None):
        return _bad(path, record, columns["title"], "not a text", title)
    flaw = _flaw(text)
    if (
        flaw == "empty text" and title and not _flaw(title) and columns["text"] in record.fields
    ):  # no column, no empty text
        return Document(path, record.line, doc_id, title, "")
    if flaw:
        return _bad(path, record, columns["text"], flaw, text)
    return Document(path, record.line, doc_id, title or "", text)


def _query(path: str, record: Record, columns: Mapping[str, str], split: str) -> Query | BadRow:
    given, text = _values(record, columns, "query_id", "query")
    query_id = _identifier(path, record, columns["query_id"], given)
    if isinstance(query_id, BadRow):
        return query_id
    if query_id == _MEAN:
        return _bad(path, record, columns["query_id"], "reserved id", query_id)
    if flaw := _flaw(text):
        return _bad(path, record, columns["query"], flaw, text)
    return Query(path, record.line, query_id, text, split)


def _judgement(path: str, record: Record, columns: Mapping[str, str], split: str) -> Judgement | BadRow:
    query, document, grade = _values(record, columns, "query_id", "doc_id", "relevance")
    query_id = _identifier(path, record, "query_id", query)
    doc_id = _identifier(path, record, "doc_id", document)
    if isinstance(query_id, BadRow):
        return query_id
    if isinstance(doc_id, BadRow):
        return doc_id
    if (relevance := _relevance(grade)) is None:
        return _bad(path, record, "relevance", "relevance not an integer", grade)
    return Judgement(path, record.line, query_id, doc_id, relevance, split)


def _values(record: Record, columns: Mapping[str, str], *names: str) -> list[Any]:
    return [record.fields.get(columns[name]) for name in names]


def _flaw(text: object) -> str | None:
    """Say why a value is not the text of a document or query."""
    if not isinstance(text, str | None):
        return "not a text"
    return "empty text" if text is None or not _VISIBLE.search(text) else None


def _identifier(path: str, record: Record, field: str, value: object) -> str | BadRow:
    text = value if isinstance(value, str) else str(whole) if (whole := _whole(value)) is not None else ""
    if not _VISIBLE.search(text):
        return _bad(path, record, field, "missing id", value)
    return _bad(path, record, field, "control character in id", value) if _CONTROL.search(text) else text


def _relevance(value: object) -> int | None:
    """Read a grade; what is below 0 (TREC's junk) is judged and not relevant like 0."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}(\.0*)?", value := value.strip()):
        value = int(value.partition(".")[0])
    whole = _whole(value)
    return None if whole is None or whole > _MAX_RELEVANCE else max(whole, 0)


def _whole(value: object) -> int | None:
    """Read a whole number, which a column of floats holds as 1.0, and one of decimals exactly."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else None
    if isinstance(value, float) and value.is_integer() and abs(value) <= _MAX_WHOLE_FLOAT:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _bad(path: str, record: Record, field: str, reason: str, value: object) -> BadRow:
    return bad_row(path, record.line, reason, got=repr(value)[:100], field=field, content=record.raw)
