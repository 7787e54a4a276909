"""Commands that look: the datasets of a store, one dataset, one query through every stage."""

import json
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from rich.markup import escape

from flows.cli.options import Json, Root, Set, out, write_json
from flows.cli.runs import Chosen, OfConfig, Run, choose, completed, location
from flows.settings_file import ConfigError
from flows.show import console as show_as
from flows.show.explain import explain as gather
from flows.show.explain_view import explanation, why_document
from flows.show.frames import columns_note, fitting, flat, frame_table
from storage import SCHEMAS, DatasetRef, Manifest, MissingDataset, find, inspect, load, scan
from storage.telling import tell_stored

Csv = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the rows as CSV.")]


def ls(
    kind: Annotated[str | None, typer.Argument(help="Only this kind of dataset.")] = None,
    json_: Json = None,
    root: Root = "data",
) -> None:
    """List the datasets of a store; where it is not a terminal that reads, whole names and tabs."""
    where = location(root)
    if kind not in (None, *SCHEMAS):
        raise ConfigError(f"ls: expected a kind of {', '.join(SCHEMAS)}, got '{kind}'. Leave it out to see all.")
    datasets = list(inspect.datasets(where, kind))
    if not datasets:
        raise MissingDataset(
            f"ls: expected datasets{f' of {kind}' if kind else ''} in '{where}', found none. See --root."
        )
    write_json(json_, {"datasets": [content.model_dump(mode="json") for _, content in datasets]})
    if out.is_terminal:
        out.print(show_as.datasets_table(datasets))
        out.print(f"{len(datasets)} datasets, {show_as.human_bytes(sum(content.bytes for _, content in datasets))}")
        return
    for ref, content in datasets:
        name = f"{ref.kind}/{ref.partition}/{ref.fingerprint}"
        typer.echo(f"{name}\t{content.rows}\t{content.bytes}\t{content.seconds}\t{content.created_at}")


def show(
    dataset: Annotated[
        str, typer.Argument(help="kind or kind/partition (of the run), kind/partition/finger…, or a path.")
    ],
    head: Annotated[int | None, typer.Option(min=1, help="Rows; 10 on the terminal, all in files.")] = None,
    columns: Annotated[str | None, typer.Option(metavar="A,B", help="These columns.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="All columns.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Columns, settings and cost.")] = False,
    lineage: Annotated[bool, typer.Option("--lineage", help="What it was made from.")] = False,
    sql: Annotated[
        str | None, typer.Option(help="A query; the run's tables are called by their kinds, this dataset `self`.")
    ] = None,
    json_: Json = None,
    csv: Csv = None,
    run: Run = None,
    config: OfConfig = None,
    set_: Set = None,
    root: Root = "data",
) -> None:
    """Look into one dataset of a run: its first rows, its schema, its lineage, or the answer to a query."""
    chosen, ref = _find(dataset, root, run, config, set_)
    content = load(ref)
    if not sql:
        _say_which(ref, content)
        for other in chosen.refs:
            if (other.kind, other.partition) == (ref.kind, ref.partition) and other != ref and (found := find(other)):
                _say_which(other, found, "there too: ")
    out.print(f"[dim]{escape(chosen.label)}[/]", highlight=False)
    if lineage:
        out.print(show_as.lineage_tree(inspect.lineage(ref)))
        return
    if schema:
        facts = content.model_dump(mode="json", exclude={"parts", "files", "inputs"})
        out.print_json(json.dumps(facts, ensure_ascii=False))
        return
    frame = inspect.query(chosen.refs, sql, self=ref) if sql else scan(ref).collect()
    if columns:
        frame = _only(frame, columns.split(","))
    if head:
        frame = frame.head(head)
    write_json(json_, {"dataset": ref.uri, "of": chosen.label, "rows": frame.to_dicts()} if json_ else {})
    if csv:
        csv.write_text(flat(frame).write_csv(), encoding="utf-8")
    shown = frame if sql else frame.head(head or 10)
    names = fitting(ref.kind, shown, out.width) if not (columns or all_ or sql) else shown.columns
    out.print(frame_table(shown.select(names), out.width))
    if note := columns_note(names, shown):
        out.print(f"[dim]{note}[/]", highlight=False)


def _say_which(ref: DatasetRef, content: Manifest, before: str = "") -> None:
    """Name a dataset with what tells it from others, and its rows."""
    words = f" ({', '.join(words)})" if (words := tell_stored(ref).words) else ""
    out.print(
        f"{before}[bold]{ref}[/]{escape(words)}, {content.rows:,} row{'s' * (content.rows != 1)}", highlight=False
    )


def _only(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    if unknown := [name for name in names if name not in frame.columns]:
        raise ValueError(f"--columns: expected {', '.join(frame.columns)}, got '{unknown[0]}'. Name some of these.")
    return frame.select(names)


def _find(
    name: str, root: str, run: str | None, config: Path | None, set_: list[str] | None
) -> tuple[Chosen, DatasetRef]:
    """Find a dataset: by its fingerprint or path in the store, else in the last run that has it; else the newest."""
    if name.count("/") < 2:
        asked = [choose(root, run, config, set_ or ())] if run or config else completed(location(root))
        kind, _, partition = name.partition("/")
        for chosen in asked:
            there = [ref for ref in chosen.refs if ref.kind == kind and partition in ("", ref.partition) and find(ref)]
            if there:
                return chosen, there[-1]
        if run or config:
            raise MissingDataset(f"dataset '{name}': expected one of {chosen.label}, found none. See `polyloom ls`.")
    ref = inspect.resolve(location(root), name)
    return Chosen(
        ref.root, [ref], "by its name" if name.count("/") > 1 else "the newest: no completed run has one"
    ), ref


def explain(
    query_id: Annotated[str, typer.Argument(metavar="QUERY_ID", help="Of any split.")],
    document: Annotated[
        str | None, typer.Option(metavar="DOC_ID", help="Why is it a negative of the query, or not?")
    ] = None,
    run: Run = None,
    config: OfConfig = None,
    set_: Set = None,
    language: Annotated[list[str] | None, typer.Option(help="Where several languages have the id.")] = None,
    json_: Json = None,
    root: Root = "data",
) -> None:
    """Show one query of a run through every stage: ranks, scores, decisions, batches, weights, loss, result."""
    chosen = choose(root, run, config, set_ or ())
    entries = gather(chosen.root, query_id, language or (), chosen.refs, document)
    write_json(json_, {"of": chosen.label, "entries": entries})
    out.print(escape(chosen.label), style="dim", highlight=False)
    for entry in entries:
        out.print(why_document(entry) if document else explanation(entry))
