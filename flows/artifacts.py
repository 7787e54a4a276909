"""Tables in the Prefect UI: the datasets of a run with their lineage, and the metrics."""

from collections.abc import Sequence
from typing import Any

from prefect.artifacts import create_table_artifact

from flows.bake_off_table import by_strategy
from flows.outcome import Outcome
from flows.pipeline import Pipeline
from storage import inspect, load


def publish(outcomes: Sequence[Outcome], pipeline: Pipeline, root: str) -> None:
    """Publish what a flow run made; called in the flow's body, since a cached task's body never runs."""
    create_table_artifact(
        key="datasets",
        description="Every dataset of this run, with what it was made from.",
        table=[
            {
                "stage": planned.stage,
                "dataset": str(planned.step.ref(root)),
                "status": outcome.status,
                "rows": outcome.rows,
                "seconds": outcome.seconds,
                "made from": ", ".join(str(entry.ref(root)) for entry in planned.step.inputs.values()),
                "uri": planned.step.ref(root).uri,
                "content": load(planned.step.ref(root)).content[:12],
            }
            for planned, outcome in zip(pipeline.planned, outcomes, strict=True)
        ],
    )
    means = [row for step in pipeline.metrics for row in inspect.metrics_means(step.ref(root))]
    if means:
        create_table_artifact(
            key="metrics",
            description="Dev queries, per language; `all` is their plain mean.",
            table=_by_language(means),
        )


def publish_bake_off(pipeline: Pipeline, root: str) -> None:
    """Publish what each strategy did, one row per strategy and language."""
    ref = pipeline.planned[-1].step.ref(root)
    create_table_artifact(
        key="bake-off",
        description=f"Every strategy over one score table ({ref}).",
        table=[
            {"strategy": strategy, "language": language, **values}
            for (strategy, language), values in by_strategy(inspect.rows(ref)).items()
        ],
    )


def _by_language(means: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per language, the mean last, and one column per measure and system: `nDCG@10 trained`."""
    lines: dict[str, dict[str, Any]] = {}
    for row in sorted(means, key=lambda row: (row["language"] == "all", row["language"])):
        line = lines.setdefault(row["language"], {"language": row["language"], "queries": row["num_queries"]})
        line[f"{row['metric']} {row['system']}"] = round(row["value"], 4)
    return list(lines.values())
