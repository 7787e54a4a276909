"""What a grid's pipelines have measured, out of the store."""

from typing import Any

import polars as pl

from flows.ablation_cells import Cell
from flows.run.pipeline import Pipeline
from flows.weave import weave
from storage import scan
from tasks.engine.build import state
from tasks.engine.deferred import deferred

significance = deferred("tasks.evaluate.significance")  # loads scipy

SYSTEM = "trained"


def missing_cells(cells: list[Cell]) -> list[Cell]:
    """List the pipelines of which something is not in the store."""
    return [
        cell
        for cell in cells
        if not all(
            state(planned.promise, cell.config.storage.location).cached for planned in weave(cell.config).planned
        )
    ]


def compare(cells: list[Cell], reference: str) -> list[dict[str, Any]]:
    """Compare the trained systems of some pipelines, all of which are in the store; see `compare_variants`."""
    results = {(cell.variant, cell.seed): _measured(weave(cell.config), cell.config.storage.location) for cell in cells}
    rows: list[dict[str, Any]] = significance.compare_variants(results, reference=reference)
    return rows


def per_cell(cells: list[Cell]) -> list[dict[str, Any]]:
    """List the means of every pipeline: variant, seed, system, language, metric, value, num_queries."""
    return [
        {"variant": cell.variant, "seed": cell.seed, **row}
        for cell in cells
        for row in _measured(weave(cell.config), cell.config.storage.location)
        .filter(pl.col("query_id") == "all")
        .drop("query_id")
        .to_dicts()
    ]


def _measured(pipeline: Pipeline, root: str) -> pl.DataFrame:
    frames = [scan(promise.ref(root)).filter(pl.col("system") == SYSTEM).collect() for promise in pipeline.metrics]
    return pl.concat(frames)
