"""Commands that compare: strategies over one score table, variants of a configuration."""

from pathlib import Path
from typing import Annotated

import typer

from flows.ablation_variants import compare, list_variants, load_ablation, means_per_variant, missing_variants
from flows.cli.options import Config, Json, Set, out, write_json
from flows.cli.run_flow import run_flow
from flows.configs import load_config
from flows.run.api import setting
from flows.run.pipeline import all_stored
from flows.run.record import recorded
from flows.show.bake_off_table import dropped_table, kept_table
from flows.show.results import comparison_table
from flows.weave_bake_off import STRATEGIES, check_scores, weave_bake_off
from storage import inspect, runs
from tasks.engine.step import deferred

page = deferred("flows.show.report.page")  # loads scipy


def ablation(
    ablation_file: Annotated[Path, typer.Argument(metavar="ABLATION.yaml", help="A configuration and its variants.")],
    set_: Set = None,
    variant: Annotated[list[str] | None, typer.Option(help="Only this variant.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only this seed.")] = None,
    json_: Json = None,
) -> None:
    """Train and measure variants of a configuration, with all they share built once, and compare them."""
    settings = load_ablation(ablation_file)
    names, seeds = tuple(variant or ()), tuple(seed or ())
    variants = list_variants(settings, ablation_file, overrides=tuple(set_ or ()), variants=names, seeds=seeds)
    todo = variants if setting("PREFECT_API_URL") else missing_variants(variants)
    if todo:
        rows = run_flow("ablation", out, todo, variants, settings.reference)
    else:
        rows = compare(variants, settings.reference)
    write_json(json_, {"reference": settings.reference, "comparison": rows, "means": means_per_variant(variants)})
    table = comparison_table(rows, settings.reference)
    out.print(table)
    storage = variants[0].config.storage
    with storage.private():
        out.print(f"Report: {page.write_comparison(table, storage.location)}", highlight=False, soft_wrap=True)


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
    root = settings.storage.location
    stored = None if setting("PREFECT_API_URL") else all_stored(pipeline, root)
    if stored is not None:
        with recorded(settings, pipeline, stored, flow="bake_off") as run:
            pass
    else:
        run = runs.read(root, run_flow("bake_off", out, settings, list(names)))
    comparison = inspect.rows(pipeline.promises[-1].ref(root))
    write_json(json_, {"stages": [one.model_dump() for one in run.datasets], "bake_off": comparison})
    out.print(kept_table(comparison, settings.denoise.score), dropped_table(comparison), sep="\n\n")
