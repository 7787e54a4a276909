"""Commands that look: the datasets of a store, one dataset, one query through every stage."""

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Json, Root, Set, out, write_json
from flows.configs import PipelineConfig, StorageConfig, load_config
from flows.settings_file import ConfigError
from flows.show import console as show_as
from flows.show.explain import explain as gather
from flows.show.explain_view import explanation
from flows.weave import weave
from storage import inspect, load
from storage.related import Name
from storage.schemas import SCHEMAS


def ls(
    kind: Annotated[str | None, typer.Argument(help="Only this kind of dataset.")] = None, root: Root = "data"
) -> None:
    """List the datasets of a store."""
    if kind is not None and kind not in SCHEMAS:
        raise ConfigError(f"ls: expected a kind of {', '.join(SCHEMAS)}, got '{kind}'. Leave it out to see all.")
    datasets = list(inspect.datasets(_location(root), kind))
    out.print(show_as.datasets_table(datasets))
    out.print(f"{len(datasets)} datasets, {show_as.human_bytes(sum(manifest.bytes for _, manifest in datasets))}")


def show(
    dataset: Annotated[
        str, typer.Argument(help="kind, kind/partition (the newest), kind/partition/finger…, or a path.")
    ],
    head: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 10,
    schema: Annotated[bool, typer.Option("--schema", help="Columns, settings and cost.")] = False,
    lineage: Annotated[bool, typer.Option("--lineage", help="What it was made from.")] = False,
    sql: Annotated[str | None, typer.Option(help="A query; the table is called by the dataset's kind.")] = None,
    root: Root = "data",
) -> None:
    """Look into one dataset: its first rows, its schema, its lineage, or the answer to a query."""
    ref = inspect.resolve(_location(root), dataset)
    if lineage:
        out.print(show_as.lineage_tree(inspect.lineage(ref)))
    elif schema:
        content = load(ref).model_dump(mode="json", exclude={"parts", "files", "inputs"})
        out.print_json(json.dumps(content, ensure_ascii=False))
    else:
        frame = inspect.query(ref, sql or f"SELECT * FROM self LIMIT {head}")
        out.print(f"[bold]{ref}[/], {load(ref).rows:,} rows, in {ref.uri}")
        out.print(show_as.frame_table(frame, out.width))


def explain(
    query_id: Annotated[str, typer.Argument(metavar="QUERY_ID", help="Of any split.")],
    config: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG.yaml", help="Of this pipeline. Without it: of the newest batch plan or ledger."),
    ] = None,
    set_: Set = None,
    language: Annotated[list[str] | None, typer.Option(help="Where several languages have the id.")] = None,
    json_: Json = None,
    root: Root = "data",
) -> None:
    """Show one query through every stage: ranks, scores, decisions, batches, result."""
    settings = load_config(config, tuple(set_ or ())) if config else None
    where = settings.storage.location if settings else _location(root)
    languages = language or (settings.languages if settings else ())
    entries = gather(where, query_id, languages, datasets_of(settings) if settings else None)
    write_json(json_, {"entries": entries})
    for entry in entries:
        out.print(explanation(entry))


def datasets_of(config: PipelineConfig) -> set[Name]:
    """Name every dataset that a configuration promises."""
    promises = weave(config).promises
    return {(promise.step.produces, promise.partition, promise.fingerprint) for promise in promises}


def _location(root: str) -> str:
    return StorageConfig(root=root).location
