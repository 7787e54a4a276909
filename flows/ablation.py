"""The flow of an ablation: pipelines that share every cached stage, one flow run each, and one table of results."""

from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.ablation_variants import SeededVariant, compare
from flows.run.execute import flow_run_id
from flows.run.form import check_form
from flows.run.stop import ending
from flows.train_retriever import train_retriever


@flow(name="ablation", persist_result=False, validate_parameters=True)
def ablation(variants: list[SeededVariant], shown: list[SeededVariant], reference: str) -> list[dict[str, Any]]:
    """Train and measure variants of one configuration; what two of them share is built once.

    Args:
        variants: the pipelines to run.
        shown: the pipelines of the table; those that are not among `variants` are in the store.
        reference: the variant that the others are compared with.
    """
    check_form(*(variant.config for variant in (*variants, *shown)))
    with ending(flow_run_id()):
        for variant in variants:
            train_retriever.with_options(flow_run_name=str(variant))(variant.config)
    table = compare(shown, reference)
    create_table_artifact(key="ablation", description=f"Dev queries; differences to '{reference}'.", table=table)
    return table
