"""The flow of an ablation: pipelines that share every cached stage, one flow run each, and one table of results."""

import contextvars
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.ablation_variants import SeededVariant, compare
from flows.run.execute import flow_run_id
from flows.run.form import check_form
from flows.run.progress import CELL
from flows.run.stop import ending
from flows.show.console import as_markdown
from flows.show.results import comparison_table
from flows.train_retriever import train_retriever

AT_A_TIME = 2  # pipelines: while one trains, the other plans or measures; networks run one at a time in any case


@flow(name="ablation", persist_result=False, validate_parameters=True)
def ablation(variants: list[SeededVariant], shown: list[SeededVariant], reference: str) -> list[dict[str, Any]]:
    """Train and measure variants of one configuration; what two of them share is built once.

    The first pipeline builds what all share, the others follow side by side. Where one fails, the others go on.

    Args:
        variants: the pipelines to run.
        shown: the pipelines of the table; those that are not among `variants` are in the store.
        reference: the variant that the others are compared with.
    """
    check_form(*(variant.config for variant in (*variants, *shown)))
    with shown[0].config.storage.private(), ending(flow_run_id()):
        for some in (variants[:1], variants[1:]):
            with ThreadPoolExecutor(AT_A_TIME) as pool:
                cells = [pool.submit(contextvars.copy_context().run, _run, variant) for variant in some]
            for cell in cells:
                cell.result()
    rows = compare(shown, reference)
    create_markdown_artifact(as_markdown(comparison_table(rows, reference)), key="ablation")
    return rows


def _run(variant: SeededVariant) -> None:
    CELL.set(str(variant))
    train_retriever.with_options(flow_run_name=str(variant))(variant.config)
