"""Commands that compare: strategies over one score table, variants of a configuration."""

from pathlib import Path
from typing import Annotated

import typer

from flows.ablation_cells import list_cells, load_grid
from flows.ablation_results import compare, missing_cells, per_cell
from flows.cli import run_flow
from flows.cli.options import Config, Json, Set, out, write_json
from flows.configs import load_config
from flows.run.outcome import Outcome
from flows.show import console as show_as
from flows.show.bake_off_table import dropped_table, kept_table
from flows.weave_bake_off import STRATEGIES, check_scores, weave_bake_off
from storage import inspect


def ablation(
    grid: Annotated[Path, typer.Argument(metavar="GRID.yaml", help="A configuration and its variants.")],
    set_: Set = None,
    variant: Annotated[list[str] | None, typer.Option(help="Only this variant.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this seed.")] = None,
    json_: Json = None,
) -> None:
    """Train and measure variants of a configuration, with all they share built once, and compare them."""
    described = load_grid(grid)
    cells = list_cells(
        described, grid, overrides=tuple(set_ or ()), variants=tuple(variant or ()), seeds=tuple(seed or ())
    )
    todo = cells if run_flow.prefect_api() else missing_cells(cells)
    rows = run_flow.run_grid(todo, cells, described.reference, out) if todo else compare(cells, described.reference)
    write_json(json_, {"reference": described.reference, "comparison": rows, "means": per_cell(cells)})
    out.print(show_as.comparison_table(rows, described.reference))


def bake_off(
    config: Config,
    set_: Set = None,
    strategy: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this strategy; may be repeated.")
    ] = None,
    json_: Json = None,
) -> None:
    """Select by every strategy over the stored scores, and compare what each keeps, drops and misses; runs no model."""
    settings = load_config(config, tuple(set_ or ()))
    names = tuple(strategy or STRATEGIES)
    pipeline = weave_bake_off(settings, names)
    check_scores(pipeline, settings.storage.location)
    outcomes = None if run_flow.prefect_api() else Outcome.of_stored(pipeline, settings.storage.location)
    if outcomes is None:
        outcomes = run_flow.run_bake_off(settings, list(names), out)
    found = inspect.rows(pipeline.planned[-1].promise.ref(settings.storage.location))
    write_json(json_, {"stages": [outcome.as_json() for outcome in outcomes], "bake_off": found})
    out.print(kept_table(found, settings.denoise.score), dropped_table(found), sep="\n\n")
