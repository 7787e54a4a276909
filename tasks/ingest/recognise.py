"""A folder of files -> the settings of ingest that read it, and its languages."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.ingest.config import LAYOUTS, What
from tasks.ingest.files import SUFFIXES
from tasks.ingest.lines import read_lines
from tasks.ingest.rows import on_one_line
from tasks.languages import check_language, name_of

# In the last part of a path that has one of these, the first that it has.
_ROLES: dict[What, str] = {
    "qrels": "qrel|judg|relevan|^r[-_.]",
    "queries": "quer|topic|question|^q[-_.]",
    "corpus": "corpus|doc|passage|collection",
}
_DEV = ("dev", "validation", "valid", "val", "test")
_SPLIT = re.compile(rf"(?<![A-Za-z])(train|{'|'.join(_DEV)}[AB]?)(?![A-Za-z])")
_TAIL = "(?:-[A-Z][a-z]{3})?(?:-[A-Z]{2})?"
# Three small letters are one where they stand alone between dots and slashes: more than tags are written so.
_LANGUAGE = re.compile(rf"(?<![A-Za-z])([a-z]{{2}}{_TAIL}|(?<![^/.])[a-z]{{3}}{_TAIL}(?=[/.]))(?![A-Za-z])")
_SHARD = re.compile(r"(?<=[-_.])\d+(?:-of-\d+)?(?=\.\w+$)")
_USUAL: dict[str, tuple[str, ...]] = {
    "doc_id": ("doc_id", "docid", "corpus-id", "corpus_id", "document_id", "passage_id", "pid", "did", "_id", "id"),
    "title": ("title",),
    "text": ("text", "body", "contents", "content", "passage", "document"),
    "query_id": ("query_id", "query-id", "qid", "question_id", "_id", "id"),
    "query": ("query", "question", "text"),
    "relevance": ("relevance", "score", "label", "rel", "grade"),
}


class Found(NamedTuple):
    """What a folder holds."""

    ingest: dict[str, Any]
    languages: list[str]
    """Those in the names of files; empty where there is none."""


def recognise(folder: Path) -> Found:
    """Tell corpus, queries and qrels by the names of files and their first lines.

    Raises:
        ValueError: they are not there, or look like none of the layouts; says what was looked for.
    """
    files = _files(folder)
    languages = set.intersection(*(_languages(paths) for paths in files.values()))
    patterns: dict[What, str] = {}
    first: dict[What, str] = {}
    for what, paths in files.items():
        found = {_pattern(path, languages, split=what != "corpus"): path for path in reversed(paths)}
        if len(found) > 1:
            raise _unknown(folder, f"several kinds of files for {what}: {', '.join(sorted(found))}")
        ((patterns[what], first[what]),) = found.items()
    if not any("{split}" in patterns[what] for what in ("queries", "qrels")):
        raise _unknown(folder, f"no split in {patterns['queries']} and {patterns['qrels']}")
    ingest = _layout(folder, {what: _columns(folder / path) for what, path in first.items()})
    published = LAYOUTS[ingest["layout"]]
    own = {
        what: pattern for what, pattern in patterns.items() if published[what].pattern not in (pattern, f"{pattern}.gz")
    }
    splits = {match for path in files["qrels"] for match in _SPLIT.findall(path)}
    dev = next((name for name in _DEV if name in splits), "")
    ingest |= {"path": str(folder.resolve())} | own
    if "train" not in splits:
        ingest["train_split"] = ""
    if dev != "dev":
        ingest["dev_split"] = dev
    return Found(ingest, sorted(languages))


def _files(folder: Path) -> dict[What, list[str]]:
    """Sort the files that can be read by what they hold, as paths below the folder, without `.gz`."""
    files: dict[What, list[str]] = {what: [] for what in get_args(What)}
    for place, _, names in os.walk(folder):
        for name in names if "manifest.json" not in names else ():  # a dataset of a store is no input
            path = (Path(place) / name).relative_to(folder).as_posix().removesuffix(".gz")
            if Path(path).suffix in SUFFIXES and (what := _role(path)):
                files[what].append(path)
    if missing := [what for what, paths in files.items() if not paths]:
        raise _unknown(folder, f"none for {', '.join(missing)}")
    return {what: sorted(paths) for what, paths in files.items()}


def _role(path: str) -> What | None:
    for part in reversed(path.lower().split("/")):
        for what, words in _ROLES.items():
            if re.search(words, part):
                return what
    return None


def _languages(paths: list[str]) -> set[str]:
    """Find the tags in the names; a file without one would be every language's."""
    found = [set(filter(_is_language, _LANGUAGE.findall(path))) for path in paths]
    return set.union(*found) if all(found) else set()


def _is_language(tag: str) -> bool:
    try:
        return check_language(tag) != name_of(tag)  # what has no name is a word of three letters
    except ValueError:
        return False


def _pattern(path: str, languages: set[str], *, split: bool) -> str:
    path = _LANGUAGE.sub(lambda match: "{language}" if match[1] in languages else match[0], path)
    return _SHARD.sub("*", _SPLIT.sub("{split}", path) if split else path)


def _columns(path: Path) -> list[str] | int:
    """Return the names of a table's columns; of a file without a header, their number."""
    if not path.is_file():
        path = path.with_name(path.name + ".gz")
    try:
        return _read_columns(path)
    except (orjson.JSONDecodeError, pa.ArrowException, UnicodeDecodeError, OSError) as error:
        got = on_one_line(str(error))
        raise ValueError(f"{path}: expected a file that is what its name says, got: {got}. Mend it.") from error


def _read_columns(path: Path) -> list[str] | int:
    if ".parquet" in path.suffixes:
        return list(pq.read_schema(path).names)
    line = next(read_lines(str(path)), (0, b""))[1].decode(errors="replace")
    if SUFFIXES[Path(path.name.removesuffix(".gz")).suffix] == "jsonl":
        fields = orjson.loads(line)
        return list(fields) if isinstance(fields, dict) else 0
    values = [value.strip('"') for value in line.split("\t")]
    usual = {name for names in _USUAL.values() for name in names}
    return values if len(usual.intersection(values)) > 1 else len(line.split("\t") if "\t" in line else line.split())


def _layout(folder: Path, columns: Mapping[What, list[str] | int]) -> dict[str, Any]:
    corpus, queries, qrels = (columns[what] for what in get_args(What))
    if isinstance(corpus, list) and (queries, qrels) == (2, 4) and {"docid", "text"} <= {*corpus}:
        return {"layout": "miracl"}
    chosen: dict[str, str] = {}
    for what, published in LAYOUTS["table"].items():
        names = columns[what]
        if isinstance(names, int):
            header = [name for name in published.columns if name != "title" or names == 3]
            top = "\\t".join([header[0], "iteration", *header[1:]] if names == 4 else header)
            raise _unknown(folder, f"{what} without a line that names its columns", f"Put such a line on top: {top}")
        for name in published.columns:
            usual = [one for one in _USUAL[name] if one in names]
            if not usual and name != "title":
                raise _unknown(folder, f"{what} with {names} and no column for {name} ({', '.join(_USUAL[name])})")
            chosen[f"{what}.{name}"] = usual[0] if usual else "title"
    beir = {f"{what}.{name}": own for what, one in LAYOUTS["beir"].items() for name, own in one.columns.items()}
    if chosen == beir:
        return {"layout": "beir"}
    named: dict[str, str] = {}
    for key, own in chosen.items():
        file, _, column = key.partition(".")
        if named.setdefault(column, own) != own:
            raise ValueError(
                f"{folder}: expected one name for {column} in all files, got {named[column]} and, in {file}, {own}. "
                "Rename the column in one of them."
            )
    return {"layout": "table", "columns": named}


def _unknown(folder: Path, got: str, cure: str = "Rename them") -> ValueError:
    return ValueError(
        f"{folder}: expected files of a corpus (named corpus, docs, passages or collection), queries (queries, topics "
        f"or questions) and qrels (qrels or judgements; by split: train, dev or test) as {', '.join(SUFFIXES)} (.gz), "
        f"got {got}. {cure}, or write the configuration by hand: see docs/guide.md."
    )
