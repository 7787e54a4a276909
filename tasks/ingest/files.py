"""Settings -> the input files of one language, each with the digest of its content."""

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import fsspec

from storage.digests import file_digest
from tasks.ingest import hub
from tasks.ingest.config import (
    HUB_PREFIX,
    LAYOUTS,
    WRITTEN_AS,
    FileFormat,
    FileSplit,
    IngestConfig,
    InputFile,
    OnBadRow,
    Source,
    What,
)
from tasks.languages import check_language

SUFFIXES: dict[str, FileFormat] = {
    ".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl", ".tsv": "tsv", ".txt": "tsv", ".parquet": "parquet",
}  # fmt: skip
_MIRACL_DEV_ONLY = ("de", "yo")  # MIRACL's surprise languages were released without train


def find_source(
    config: IngestConfig, language: str, what: What, splits: Sequence[FileSplit] = get_args(FileSplit)
) -> Source:
    """Find the files of one language's corpus, queries or qrels and digest them.

    Args:
        config: any layout but atlas, which has no files.
        language: BCP 47.
        what: `corpus`, `queries` or `qrels`.
        splits: whose files; a file that holds all splits is any split's.

    Raises:
        ValueError: unknown language; an environment variable that is not set; a file of unknown kind.
        FileNotFoundError: a pattern without a file.
    """
    return Source(
        form=config.form(what),
        columns=config.column_names(what),
        on_bad_row=config.on_bad_row,
        files=tuple(
            InputFile(
                path=path, digest=file_digest(path, "blake2b"), split=split, format=_file_format(path, config, what)
            )
            for path, split in input_files(config, language, what, splits)
        ),
    )


def find_run(pattern: str, language: str, on_bad_row: OnBadRow) -> Source:
    """Find a system's TREC run files of one language and digest them; `pattern` may hold {language} and variables.

    Raises:
        FileNotFoundError: there are none.
    """
    written = pattern.replace("{language}", language)
    files = [
        InputFile(path=path, digest=file_digest(path, "blake2b"), format="tsv")
        for path in find_files(os.path.expandvars(written))
    ]
    if not files:
        raise FileNotFoundError(
            f"evaluate.systems: expected a run of '{language}' at '{written}', got none. Correct `run`."
        )
    return Source(form="trec", columns={}, on_bad_row=on_bad_row, files=tuple(files))


def input_files(
    config: IngestConfig, language: str, what: What, splits: Sequence[FileSplit] = get_args(FileSplit)
) -> list[tuple[str, str]]:
    """Return path and split ("" where the pattern has none) of each file, in reading order: docs-2 before docs-10.

    Raises:
        ValueError: unknown language, or an environment variable that is not set.
        FileNotFoundError: a pattern without a file.
    """
    check_language(language)
    pattern, written = (text.replace("{language}", language) for text in _rooted(config, what))
    if "{split}" not in pattern:
        return [(path, "") for path in _present(find_files(pattern), written, language, what)]
    files: list[tuple[str, str]] = []
    for split in splits:
        name = config.train_split if split == "train" else config.dev_split
        if not name:
            continue
        of_split = written.replace("{split}", name)
        paths = find_files(pattern.replace("{split}", name))
        if split == "dev":
            _present(paths, of_split, language, what, f", or set ingest.dev_split to {_splits(pattern)}")
        elif not (config.allow_missing_train or (config.layout == "miracl" and language in _MIRACL_DEV_ONLY)):
            hint = (
                ", set ingest.allow_missing_train for a language that is only evaluated, or set ingest.train_split "
                f"and ingest.dev_split to {_splits(pattern)}"
            )
            _present(paths, of_split, language, what, hint)
        files += [(path, split) for path in paths]
    return files


def _splits(pattern: str) -> str:
    """Say what a split may be called: as the files that are there."""
    if pattern.startswith(HUB_PREFIX):  # to look is to fetch
        return "what you call it"
    name = re.compile(re.escape(pattern).replace(re.escape("{split}"), "(.+?)").replace(r"\*", ".*") + r"(?:\.gz)?")
    found = {match[1] for path in find_files(pattern.replace("{split}", "*")) if (match := name.search(path))}
    return f"what you call it (there: {', '.join(sorted(found))})" if found else "what you call it"


def find_files(pattern: str) -> list[str]:
    """Return the files that match, in natural order; where there is none, those whose names end in `.gz` as well."""
    if pattern.startswith(HUB_PREFIX):
        pattern = hub.fetch(pattern)
    for candidate in (pattern, f"{pattern}.gz"):
        if "://" in candidate:
            system, path = _file_system(candidate)
            paths = [str(system.unstrip_protocol(name)) for name in system.glob(path) if system.isfile(name)]
        else:
            paths = [path for path in glob.glob(os.path.expanduser(candidate)) if os.path.isfile(path)]
        if paths:
            return sorted(paths, key=_natural)
    return []


def _rooted(config: IngestConfig, what: What) -> tuple[str, str]:
    """Return a pattern below `path`, and the same as settings write it: no message shows what a variable holds."""
    written, root = config.pattern(what), config.path.rstrip("/")
    pattern, folder = _expanded(written, what), _expanded(root, "path").rstrip("/")
    if "://" in pattern or pattern.startswith(("/", "~")):
        return pattern, written
    if not folder:
        given = getattr(config, what) or config.passages
        hub_folder = "" if given else LAYOUTS[config.layout][what].hub
        return hub_folder + pattern, hub_folder + written
    return f"{folder}/{pattern}", f"{root}/{written}"


def _expanded(text: str, name: str) -> str:
    def value(place: re.Match[str]) -> str:
        variable = place.group(1)
        if not os.environ.get(variable):
            raise ValueError(
                f"ingest.{name}: expected the environment variable {variable} to be set, got nothing in '{text}'. "
                f"Run `export {variable}=…`, or write the path itself."
            )
        return os.environ[variable]

    return re.sub(r"\$\{(\w+)\}", value, text)


def _present(paths: list[str], pattern: str, language: str, what: str, hint: str = "") -> list[str]:
    if not paths:
        raise FileNotFoundError(
            f"ingest {what} of '{language}': expected files at '{pattern}', got none. "
            f"Check ingest.path and ingest.{what}{hint}."
        )
    return paths


def _file_format(path: str, config: IngestConfig, what: What) -> FileFormat:
    form = config.form(what)
    if form != "table":
        return WRITTEN_AS[form]
    suffix = Path(path.removesuffix(".gz")).suffix
    if suffix not in SUFFIXES:
        raise ValueError(
            f"{path}: expected a name that ends in {', '.join(SUFFIXES)} (.gz), got '{suffix}'. Unpack or rename it."
        )
    return SUFFIXES[suffix]


def _natural(path: str) -> list[tuple[int, str]]:
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", path)]


def _file_system(url: str) -> tuple[Any, str]:
    try:
        return fsspec.url_to_fs(url)  # type: ignore[no-any-return]
    except (ValueError, ImportError) as error:
        raise ValueError(f"{url}: expected a URL that can be read, got: {error}. Correct ingest.path.") from error
