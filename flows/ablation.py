"""The flow of a grid: pipelines that share every cached stage, one flow run each, and one table of what came out."""

from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.ablation_cells import Cell
from flows.ablation_results import compare
from flows.train_retriever import train_retriever


@flow(name="ablation", persist_result=False, validate_parameters=True)
def ablation(cells: list[Cell], shown: list[Cell], reference: str) -> list[dict[str, Any]]:
    """Train and measure variants of one configuration; what two of them share is built once.

    Args:
        cells: the pipelines to run.
        shown: the pipelines of the table; those that are not among `cells` are in the store.
        reference: the variant that the others are compared with.
    """
    for cell in cells:
        train_retriever.with_options(flow_run_name=str(cell))(cell.config)
    table = compare(shown, reference)
    create_table_artifact(key="ablation", description=f"Dev queries; differences to '{reference}'.", table=table)
    return table
