"""Commands on files of one's own: `check` reads what a configuration names, `init` writes one for a folder."""

from typing import Any

from rich.markup import escape

from flows.cli.options import Config, Json, Set, out, write_json
from flows.configs import PipelineConfig, load_config
from flows.settings_file import check_variables
from flows.show.console import plain_table
from tasks.ingest.check import characters_per_token, check_files
from tasks.retrieve.analyzers import analyzer_of

SHOWN = 20  # problems of a language on the terminal; --json has all
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
    found = [check_files(settings.ingest, language, settings.text.document) for language in settings.languages]
    for one in found:
        one["analyzer"] = analyzer_of(one["language"])
    write_json(json_, {"languages": found, "batch_size": settings.plan_batches.batch_size})
    _print_splits(found)
    for one in found:
        _print_language(one, settings)
    if num_problems := sum(len(one["problems"]) for one in found):
        raise ValueError(f"check: expected files without a problem, got {num_problems} above. Mend them as they say.")


def _print_splits(found: list[dict[str, Any]]) -> None:
    table = plain_table()
    for name in ("language", "split"):
        table.add_column(name)
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    for one in found:
        for row in one["splits"]:
            values = [row[column] for column in _COLUMNS.values()]
            table.add_row(one["language"], row["split"], *("" if value is None else f"{value:,}" for value in values))
    out.print(table)


def _print_language(one: dict[str, Any], settings: PipelineConfig) -> None:
    language, text, batch_size = one["language"], settings.text, settings.plan_batches.batch_size
    size = characters_per_token(language)
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
        fits = "" if one["max_batch_size"] >= batch_size else f", less than plan_batches.batch_size {batch_size}"
        lines.append(f"batches of up to {one['max_batch_size']:,} separate all positives{fits}")
    else:
        lines.append("no train queries: only measured")
    lines += [f"[red]{escape(problem)}[/]" for problem in one["problems"][:SHOWN]]
    if (more := len(one["problems"]) - SHOWN) > 0:
        lines.append(f"[red]… and {more:,} more; --json has all[/]")
    out.print(f"[bold]{language}[/]", *(f"  {line}" for line in lines), sep="\n", highlight=False)
