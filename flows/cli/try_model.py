"""Trying the model: one question to every system of a run, and texts of your own into vectors. Both build nothing."""

import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import polars as pl
import typer
from rich.columns import Columns
from rich.markup import escape

from flows.cli.carry import stored_model
from flows.cli.options import Config, Json, LastGood, Set, out, writable, write_json
from flows.configs import PipelineConfig, load_config
from flows.run.pipeline import Pipeline
from flows.run.progress import Bars
from flows.settings_file import ConfigError
from flows.show.frames import frame_table
from flows.weave import weave
from storage import DatasetRef, MissingDataset, checkout, inspect
from tasks.engine.build import state
from tasks.engine.step import Promise, deferred
from tasks.ingest.lines import BYTE_ORDER_MARK
from tasks.models.layout import read_max_tokens

ask = deferred("tasks.retrieve.ask_task")  # loads torch

_BESIDE = 120  # columns of a terminal from which two systems stand side by side
_TERMS = ("corpus", "analyzer", "text", "config")  # what ranking takes of the arguments of the run's own step
_EMBEDDING = ("encoder", "max_tokens", "dtype", "text")

Row = dict[str, Any]


def search(
    config: Config,
    question: Annotated[str, typer.Argument(help="Words; or the id or the text of one of the run's queries.")],
    language: Annotated[str | None, typer.Option(help="Whose corpus; words need it where there are several.")] = None,
    system: Annotated[list[str] | None, typer.Option(help="One that the run measures; may be repeated.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Documents of each system.")] = 10,
    set_: Set = None,
    json_: Json = None,
) -> None:
    """Ask one question: the documents that each system finds, and their judgements if it is a query of the run."""
    settings = load_config(config, tuple(set_ or ()))
    pipeline, root = weave(settings), settings.storage.location
    _check("--language", [language] if language else [], settings.languages)
    systems = [*dict.fromkeys(one.arguments["system"] for one in pipeline.promises if one.step.name == "make_run")]
    _check("--system", system or [], systems)
    query = _query(pipeline, root, settings.languages, question, language)
    language = query["language"]
    judged = {
        row["doc_id"]: row["relevance"]
        for one in (_asked(pipeline, root, "qrels", language, query["split"]) if "split" in query else [])
        for row in inspect.rows(one.ref(root), query_id=query["query_id"])
    }
    found: dict[str, list[Row]] = {}
    missing = []
    for name in system or systems:
        try:
            found[name] = _answer(pipeline, settings, query, name, max(top, settings.retrieve.search.depth))
        except MissingDataset as error:
            missing.append(f"{name}: {error}")
    if not found:
        raise MissingDataset(f"search: expected what a system needs in the store, got for {' '.join(missing)}")
    corpus = next(one for one in pipeline.promises if (one.step.produces, one.partition) == ("corpus", language))
    shown = {name: rows[:top] for name, rows in found.items()}
    ids = sorted({row["doc_id"] for rows in shown.values() for row in rows})
    texts = {row["doc_id"]: row for row in inspect.rows(corpus.ref(root), doc_id=ids)}
    for row in (row for rows in shown.values() for row in rows):
        text = texts.get(row["doc_id"], {"title": "", "text": "not in the corpus"})
        row |= {"relevance": judged.get(row["doc_id"]), "title": text["title"], "text": text["text"]}
    write_json(json_, {**query, "systems": shown, "missing": missing})
    _print(query, shown)
    for name, rows in found.items():
        if relevant := _not_shown(rows, top, judged):
            out.print(f"{name}: relevant, but not shown: {escape(relevant)}", highlight=False)
    for line in missing:
        out.print(escape(line), highlight=False, soft_wrap=True)


def _print(query: Row, shown: dict[str, list[Row]]) -> None:
    is_known = "query_id" in query
    name = f"{query['query_id']} of {query['split']}, " if is_known else ""
    out.print(
        f"[bold]{escape(' '.join(query['text'].split()))}[/] [dim]({escape(name)}{query['language']})[/]",
        highlight=False,
    )
    columns = {"rank": "rank", "score": "score", "relevance": "judged", "doc_id": "document"}
    named = {key: called for key, called in columns.items() if is_known or key != "relevance"}
    room = out.width // 2 - 1 if out.width >= _BESIDE else out.width
    tables = []
    for name, rows in ((name, rows) for name, rows in shown.items() if rows):
        cells = {called: [row[key] for row in rows] for key, called in named.items()}
        cells["text"] = [_titled(**row) for row in rows]
        tables.append(frame_table(pl.DataFrame(cells), room))
        tables[-1].title = name
    if tables:
        out.print(Columns(tables))
    for name in (name for name, rows in shown.items() if not rows):
        out.print(f"{name}: found no document", highlight=False)


def _titled(title: str, text: str, **_: Any) -> str:
    return text if text.startswith(title) else f"{title}: {text}"


def _check(option: str, given: Collection[str], known: Collection[str]) -> None:
    if unknown := sorted({*given} - {*known}):
        raise ConfigError(f"{option}: expected one of {', '.join(known)}, got '{unknown[0]}'. Name one of these.")


def _asked(
    pipeline: Pipeline, root: str, kind: str, language: str | None = None, split: str | None = None
) -> list[Promise]:
    """List the queries or judgements that the store has; of one language and split, if they are named."""
    return [
        one
        for one in pipeline.promises
        if one.step.produces == kind and "split" in one.arguments and language in (None, one.partition)
        if split in (None, one.arguments["split"]) and state(one, root).cached
    ]


def _query(pipeline: Pipeline, root: str, languages: Collection[str], words: str, language: str | None) -> Row:
    """Return what is asked: language and text; of a query of the run also split and query_id."""
    known = [
        {"language": one.partition, "split": one.arguments["split"], **row}
        for one in _asked(pipeline, root, "queries", language)
        for name in ("query_id", "text")
        for row in inspect.rows(one.ref(root), **{name: words})
    ]
    possible = {one["language"] for one in known} or {*([language] if language else languages)}
    if not words.strip():
        raise ConfigError("search: expected a question, or the id of one of the run's queries, got no words. Ask one.")
    if len(possible) > 1:
        raise ConfigError(f"search: expected --language, one of {', '.join(sorted(possible))}, got none. Name it.")
    return known[0] if known else {"language": possible.pop(), "text": words}


def _answer(pipeline: Pipeline, settings: PipelineConfig, query: Row, system: str, depth: int) -> list[Row]:
    """Return a system's ranked documents.

    Raises:
        MissingDataset: the store lacks what it needs.
    """
    candidates = _ranking(pipeline, system, query["language"])
    if candidates.step.name not in ("retrieve_bm25", "search_dense"):  # lists of another program's, or fused ones
        if query.get("split") != "dev":
            raise MissingDataset("it has ranked the dev queries alone.")
        rows = inspect.rows(_stored(candidates, settings), query_id=query["query_id"])
        return [{name: row[name] for name in ("doc_id", "rank", "score")} for row in rows[:depth]]
    ranked = candidates.arguments
    rank, needs = ask.rank_by_terms, {name: ranked[name] for name in _TERMS if name in ranked}
    if system != "bm25":
        needs = {**_embedding(ranked["queries"]), "documents": ranked["documents"], "device": settings.resources.device}
        rank = ask.rank_by_vectors
    given = {name: _stored(value, settings) if isinstance(value, Promise) else value for name, value in needs.items()}
    rows = rank(query["text"], **given, depth=depth + 1, threads=os.cpu_count() or 1)
    own = query.get("query_id") if settings.ignores_own_document else None
    others = [row for row in rows if row["doc_id"] != own][:depth]
    return [{**row, "rank": place} for place, row in enumerate(others, start=1)]


def _embedding(vectors: Promise) -> Row:
    return {name: vectors.arguments[name] for name in _EMBEDDING if name in vectors.arguments}


def _ranking(pipeline: Pipeline, system: str, language: str | None = None) -> Promise:
    """Return the promise of a system's candidates for the dev queries, of a language or the first."""
    for one in pipeline.promises:
        if one.step.name == "make_run" and one.arguments["system"] == system and language in (None, one.partition):
            found: Promise = one.arguments["candidates"]
            return found
    raise MissingDataset("this configuration does not measure it.")


def _stored(promise: Promise, settings: PipelineConfig) -> DatasetRef:
    ref = promise.ref(settings.storage.location)
    if not (stored := state(promise, settings.storage.location)).cached:
        raise MissingDataset(f"{ref} is {stored.reason}: `polyloom run {settings.origin.file}` with these settings.")
    return ref


def _not_shown(rows: list[Row], top: int, judged: dict[str, int]) -> str:
    """Say where a system has the relevant documents that are not among its first."""
    ranks = {row["doc_id"]: row["rank"] for row in rows}
    below = [doc_id for doc_id in sorted(judged) if judged[doc_id] > 0 and not ranks.get(doc_id, top + 1) <= top]
    return ", ".join(f"{one} at {ranks[one]}" if one in ranks else f"{one} not among {len(rows)}" for one in below)


def encode(
    model: Annotated[Path, typer.Argument(metavar="CONFIG.yaml|FOLDER", help="A run's model, or an exported one.")],
    to: Annotated[Path, typer.Option(metavar="FILE", help=".parquet (id, vector), or .npy.", callback=writable)],
    role: Annotated[Literal["query", "document"], typer.Option("--as", help="Whose prompt and length.")],
    system: Annotated[Literal["trained", "untrained"], typer.Option(help="Of the run.")] = "trained",
    set_: Set = None,
    latest: LastGood = False,
) -> None:
    """Embed texts from standard input as a run does: one a line, or JSON lines with id, text and maybe title."""
    if to.suffix not in (".parquet", ".npy"):
        raise ConfigError(f"--to: expected a file that ends in .parquet or .npy, got {to}. Name it so.")
    settings = None if model.is_dir() else load_config(model, tuple(set_ or ()))
    if settings is None or latest:
        folder = model if settings is None else checkout(stored_model(settings, last_good=True)) / "model"
        if not (folder / "modules.json").is_file():
            raise ConfigError(f"encode: expected a folder that `polyloom export` made, got {folder}. Name one.")
        given: Row = {"encoder": folder, "max_tokens": read_max_tokens(folder), "device": "auto"}
    else:
        ranked = _ranking(weave(settings), system).arguments
        given = _embedding(ranked["queries" if role == "query" else "documents"])
        device = settings.resources.device
        batch_tokens = settings.resources.batch_tokens_on("cpu" if device == "auto" else device)
        given |= {"encoder": _stored(given["encoder"], settings), "device": device, "batch_tokens": batch_tokens}
    rows = list(_rows())
    with Bars(out) as bars, bars.draw("encode", len(rows), "texts") as draw:
        ask.write_vectors(ask.embed_rows(rows, role=role, **given, draw=draw), to)
    out.print(f"{len(rows):,} vectors are in {escape(str(to))}.", highlight=False)


def _rows() -> Iterator[dict[str, str]]:
    """Read standard input; a first line that begins with a brace says that all lines are JSON."""
    as_json = None
    for number, line in enumerate(sys.stdin.buffer if sys.stdin else (), start=1):
        line = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
        as_json = line.startswith(b"{") if as_json is None else as_json
        if as_json and not line.strip():
            continue
        try:
            yield _json_row(line, number) if as_json else {"id": str(number), "text": line.decode().rstrip("\r\n")}
        except (ValueError, KeyError, AttributeError) as error:
            what = 'JSON such as {"id": "d1", "text": "…"}' if as_json else "UTF-8"
            raise ConfigError(f"standard input, line {number}: expected {what}, got {error}. Mend it.") from error
    if as_json is None:
        raise ConfigError("standard input: expected texts, got none. Write one a line: polyloom encode … < FILE")


def _json_row(line: bytes, number: int) -> dict[str, str]:
    row = orjson.loads(line)
    texts = {"title": row.get("title") or "", "text": row["text"]}
    if wrong := [name for name, text in texts.items() if not isinstance(text, str)]:
        raise ValueError(f"a {wrong[0]} that is no text")
    return {"id": str(number if row.get("id") is None else row["id"]), **texts}
