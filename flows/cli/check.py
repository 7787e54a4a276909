"""Commands on files of one's own: `check` reads what a configuration names, `init` writes one for a folder."""

import math
import os
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
import yaml
from rich.markup import escape
from rich.padding import Padding

from flows.cli.options import Config, Json, Set, out, write_json
from flows.configs import PipelineConfig, load_config
from flows.run.pipeline import Pipeline
from flows.settings_file import check_variables, validate
from flows.show.console import plain_table
from storage import DatasetRef, load, read, scan
from tasks.engine.build import state
from tasks.engine.step import deferred
from tasks.ingest.config import Source
from tasks.ingest.recognise import recognise
from tasks.languages import name_of, script_name
from tasks.plan_batches.config import PlanBatchesConfig
from tasks.retrieve.analyzers import analyzer_of
from tasks.steps import plan_batches

input_files = deferred("tasks.ingest.check")  # loads scipy

SHOWN = 20  # problems of a language on the terminal; --json has all
SMALL = 64_000_000  # bytes of a corpus that `plan` reads by the way
_COLUMNS = {
    "queries": "num_queries", "judged": "num_judgements", "relevant": "num_relevant",
    "without\nrelevant": "num_without_relevant", "copies": "num_copies", "text in\ntrain": "num_in_train",
}  # fmt: skip


def check(config: Config, set_: Set = None, json_: Json = None) -> None:
    """Read the input files alone: what is in them, in numbers, and all that is wrong with them. Runs no model."""
    settings = load_config(config, tuple(set_ or ()))
    check_variables(settings)
    if settings.ingest.layout == "atlas":
        raise ValueError("check: expected input files, got the layout atlas, which is generated. Nothing to check.")
    runs = [system.run for system in settings.evaluate.systems if system.run]
    found = [
        input_files.check_files(settings.ingest, language, settings.text.document, runs)
        for language in settings.languages
    ]
    for one in found:
        one["analyzer"] = analyzer_of(one["language"])
    problems = _too_few(found, settings.plan_batches)
    write_json(json_, {"languages": found, "problems": problems})
    _print_splits(found)
    for one in found:
        _print_language(one, settings)
    for problem in problems:
        out.print(f"[red]{escape(problem)}[/]", highlight=False)
    if num_problems := sum(len(one["problems"]) for one in found) + len(problems):
        raise ValueError(f"check: expected files without a problem, got {num_problems} above. Mend them as they say.")


def _too_few(found: list[dict[str, Any]], plan: PlanBatchesConfig) -> list[str]:
    """Say what would stop the planner, whatever else is right."""
    taught = [
        one
        for one in found
        if any(row["split"] == "train" for row in one["splits"])
        if one["num_to_train_on"] or not one["problems"]  # else they say why there is nothing to train on
    ]
    problems = [
        f"plan_batches.batch_size: expected at most {one['num_to_train_on']}, the train queries with a positive of "
        f"'{one['language']}', got {plan.batch_size}. Lower it, or leave the language out."
        for one in taught
        if plan.same_language and one["num_to_train_on"] < plan.batch_size
    ]
    total = sum(one["num_to_train_on"] for one in taught)
    if taught and isinstance(plan.topics, int) and total < plan.topics:
        problems.append(
            f"plan_batches.topics: expected at most {total}, all train queries with a positive, got {plan.topics}. "
            "Lower it."
        )
    return problems


def _print_splits(found: list[dict[str, Any]]) -> None:
    table = plain_table(None, ("language", "split"), list(_COLUMNS))
    for one in found:
        for row in one["splits"]:
            values = [row[column] for column in _COLUMNS.values()]
            table.add_row(one["language"], row["split"], *("" if value is None else f"{value:,}" for value in values))
    out.print(table)


def _print_language(one: dict[str, Any], settings: PipelineConfig) -> None:
    language, text, batch_size = one["language"], settings.text, settings.plan_batches.batch_size
    size = input_files.characters_per_token(language)
    lengths = (("document", text.max_document_tokens), ("query", text.max_query_tokens))
    longest = ", ".join(
        f"a {what} {one[f'longest_{what}']:,} characters, about {one[f'longest_{what}'] / size:,.0f} tokens of {limit}"
        for what, limit in lengths
    )
    lines = [
        f"{one['num_documents']:,} documents, {one['num_copies']:,} of them copies; analyzer {one['analyzer']}",
        f"longest: {longest} (estimated at {size:g} characters per token; what is longer is cut)",
    ]
    if any(row["split"] == "train" for row in one["splits"]):
        line = f"batches of up to {one['max_batch_size']:,} separate all positives"
        if one["max_batch_size"] < batch_size:
            line += f", less than plan_batches.batch_size {batch_size}: what clashes is left out of the loss"
        lines.append(line)
    else:
        lines.append("no train queries: only measured")
    lines += [f"[yellow]{line}[/]" for line in _doubts([one])]
    lines += [f"[red]{escape(problem)}[/]" for problem in one["problems"][:SHOWN]]
    if (more := len(one["problems"]) - SHOWN) > 0:
        lines.append(f"[red]… and {more:,} more; --json has all[/]")
    out.print(f"[bold]{language}[/]")
    out.print(Padding("\n".join(lines), (0, 0, 0, 2)), highlight=False)


def _doubts(found: list[dict[str, Any]]) -> list[str]:
    """Say which languages most documents are not written in: a wrong one has the wrong analyzer."""
    return [
        f"{one['num_foreign']:,} of {one['num_documents']:,} documents have no letter of {name_of(one['language'])}'s "
        f"script, {script_name(one['language'])}: is '{one['language']}' right?"
        for one in found
        if 2 * one["num_foreign"] > one["num_documents"]
    ]


def say_separable(pipeline: Pipeline, settings: PipelineConfig) -> list[str]:
    """Say which batches separate all positives: by the datasets where they are built, else by files that are small.

    Nothing where the plan is there already, or there will be none.
    """
    root = settings.storage.location
    found = [promise for promise in pipeline.promises if promise.step is plan_batches]
    if not found or not settings.plan_batches.same_language or state(found[0], root).cached:
        return []
    sizes: dict[str, int] = {}
    for language, queries in found[0].arguments["queries"].items():
        corpus, judged = (found[0].arguments[name][language] for name in ("corpus", "qrels"))
        judged = judged.arguments.get("qrels", judged)  # relabelling comes later
        if all(state(promise, root).cached for promise in (queries, judged, corpus)):
            asked, pairs = read(queries.ref(root)), read(judged.ref(root))
            sizes[language] = input_files.max_batch_size(
                asked, pairs, _keys(corpus.ref(root), pairs, settings.text.document)
            )
        elif settings.ingest.layout != "atlas" and _num_bytes(corpus.arguments["source"]) <= SMALL:
            found_here = input_files.check_files(settings.ingest, language, settings.text.document)
            sizes[language] = found_here["max_batch_size"]
    if not sizes:
        return ["Which batches separate all positives is known when ingest has run: --until ingest."]
    line = ", ".join(f"{language} {size:,}" for language, size in sizes.items())
    batch_size = settings.plan_batches.batch_size
    clash = min(sizes.values()) < batch_size
    note = f". plan_batches.batch_size is {batch_size}: what clashes is left out of the loss" if clash else ""
    return [f"Largest batches that separate all positives: {line}{note}."]


def _keys(corpus: DatasetRef, judged: pl.DataFrame, text: str) -> pl.DataFrame:
    """Return doc_id, key of judged documents; of a large corpus copies count apart, since to read it takes minutes."""
    named = judged.select("doc_id").unique()
    if load(corpus).bytes > SMALL:
        return named.with_columns(key="doc_id")
    hashes: pl.DataFrame = input_files.hash_texts(
        scan(corpus).join(named.lazy(), on="doc_id", how="semi"), text
    ).collect()
    return hashes


def _num_bytes(source: Source) -> float:
    paths = [file.path for file in source.files]
    return math.inf if any("://" in path for path in paths) else sum(map(os.path.getsize, paths))


def _sized(plan: PlanBatchesConfig, checks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return settings of the plan where there are fewer train queries or documents than its defaults need."""
    taught = [one for one in checks if one["num_to_train_on"]]
    sizes = [one["num_to_train_on"] for one in taught]
    most = {
        "batch_size": max(2, min(sizes, default=plan.batch_size)),
        "num_negatives": min(
            (one["num_documents"] // 4 for one in taught), default=plan.num_negatives
        ),  # some are safe
        "topics": sum(sizes) or plan.topics,
    }
    smaller = {name: value for name, value in most.items() if value < getattr(plan, name)}
    return {"plan_batches": smaller} if smaller else {}


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="With corpus, queries and qrels.")],
    language: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="A language; else those in the names of files.")
    ] = None,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Else FOLDER/polyloom.yaml.")] = None,
) -> None:
    """Recognise the files of a folder and write a configuration that reads them."""
    target = to or folder / "polyloom.yaml"
    if target.exists():
        raise ValueError(f"init: expected no file yet at {target}, got one. Name another one with --to.")
    found = recognise(folder)
    languages = language or found.languages or ["en"]
    content: dict[str, Any] = {"name": folder.resolve().name, "languages": languages, "ingest": found.ingest}
    settings = validate(target, content, PipelineConfig)
    checks = [input_files.check_files(settings.ingest, one, settings.text.document) for one in languages]
    content |= _sized(settings.plan_batches, checks)
    notes = [] if language or found.languages else ["No language in the names of files: en is a guess."]
    notes += _doubts(checks)
    if "dev_split" in found.ingest and not found.ingest["dev_split"]:
        notes.append("No files to measure on: run it with --until train.")
    head = "".join(f"# {line}\n" for line in ["Written by `polyloom init`.", *notes])
    target.write_text(head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    named = ", ".join(f"{one} ({name_of(one)})" for one in languages)
    said = [f"{target}: layout {settings.ingest.layout}, {named}.", *notes]
    if num_problems := sum(len(one["problems"]) for one in checks):
        said.append(f"{num_problems} rows or files cannot be used as they are: see polyloom check {target}.")
    out.print("\n".join(map(escape, said)), highlight=False, soft_wrap=True)
