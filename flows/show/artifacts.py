"""Tables in the Prefect UI: the datasets of a run with their lineage, the shares in its batch plan, and the metrics."""

from collections.abc import Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.configs import StorageConfig
from flows.run.pipeline import BuildResult, Pipeline
from flows.show.bake_off_table import by_strategy
from flows.show.console import human_bytes
from flows.show.report.page import add_report
from flows.show.report.training import batches
from storage import inspect, load, read
from storage.care import Waste
from storage.runs import Run

_WIDTH = 36  # characters of a name in a table of the UI


def publish(results: Sequence[BuildResult], pipeline: Pipeline, storage: StorageConfig, notes: Sequence[str]) -> None:
    """Publish what a flow run made; called in the flow's body, since a cached task's body never runs."""
    root = storage.location
    create_table_artifact(
        key="datasets",
        description="Every dataset of this run, with what it was made from.",
        table=[
            {
                "stage": staged.stage,
                "dataset": str(staged.promise.ref(root)),
                "status": result.status,
                "rows": result.rows,
                "seconds": result.seconds,
                "made from": ", ".join(str(entry.ref(root)) for entry in staged.promise.inputs.values()),
                "uri": staged.promise.ref(storage.root).uri,  # variables stay names
                "content": load(staged.promise.ref(root)).content[:12],
            }
            for staged, result in zip(pipeline.staged, results, strict=True)
        ],
    )
    if shares := batch_shares(pipeline, root):
        create_table_artifact(
            key="shares",
            description="Languages and topics before (train queries) and after: slots of the plan, and their weights.",
            table=shares,
        )
    means = [row for promise in pipeline.metrics for row in inspect.metrics_means(promise.ref(root))]
    if means:
        create_table_artifact(
            key="metrics",
            description=" ".join(["Dev queries, per language; `all` is their plain mean.", *notes]),
            table=_by_language(means),
        )


def publish_report(run: Run, root: str) -> None:
    """Write a run's report, and publish its verdict, its warnings and the way to it."""
    report = add_report(run, root)
    if report and run.state == "completed":
        named = run.settings["storage"]["root"]
        place = report.uri.replace(root, named) if "$" in named else report.uri  # variables stay names
        link = place if "://" in place else f"file://{place}"
        paragraphs = [f"**{report.verdict}**", *(f"Warning: {fault}" for fault in report.faults)]
        text = "\n\n".join([*paragraphs, f"[Report of the run {run.id}]({link})", f"`{place}`"])
        create_markdown_artifact(text, key="report", description="One page that shows what this run did.")


def batch_shares(pipeline: Pipeline, root: str) -> list[dict[str, Any]]:
    """Compare the shares of languages and topics before and after planning; empty where the run has no plan.

    Not on the terminal, where a run has two tables already: `polyloom show batch_plan --sql` answers there.
    """
    refs = {promise.step.produces: promise.ref(root) for promise in pipeline.promises}
    if not {"topics", "batch_plan"} <= refs.keys():
        return []
    found = batches(read(refs["topics"]), read(refs["batch_plan"]))
    rows = [*found["languages"], *found["topics"]]
    beside = ("topic", "label")  # both stand in the name
    return [{name: _shown(value) for name, value in row.items() if name not in beside} for row in rows]


def _shown(value: Any) -> Any:
    """Round figures, and cut topics' long labels, which would push the figures out of the table."""
    if isinstance(value, str) and len(value) > _WIDTH:
        return f"{value[: _WIDTH - 1]}…"
    return round(value, 4) if isinstance(value, float) else value


def _by_language(means: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per language, the mean last, and one column per measure and system: `nDCG@10 trained`."""
    lines: dict[str, dict[str, Any]] = {}
    for row in sorted(means, key=lambda row: (row["language"] == "all", row["language"])):
        line = lines.setdefault(row["language"], {"language": row["language"], "queries": row["num_queries"]})
        line[f"{row['metric']} {row['system']}"] = round(row["value"], 4)
        if row["num_new"] < row["num_queries"]:
            new_value = row["new_value"]
            line["not in train"] = row["num_new"]
            line[f"{row['metric']} {row['system']}, not in train"] = None if new_value is None else round(new_value, 4)
    return list(lines.values())


def publish_bake_off(pipeline: Pipeline, root: str) -> None:
    """Publish what each strategy did, one row per strategy and language."""
    ref = pipeline.promises[-1].ref(root)
    create_table_artifact(
        key="bake-off",
        description=f"Every strategy over one score table ({ref}).",
        table=[
            {"strategy": strategy, "language": language, **values}
            for (strategy, language), values in by_strategy(inspect.rows(ref)).items()
        ],
    )


def publish_waste(found: Sequence[Waste]) -> None:
    """Publish what can go from a store, one row per reason."""
    reasons = dict.fromkeys(one.why for one in found)
    sizes = {why: [one.bytes for one in found if one.why == why] for why in reasons}
    create_table_artifact(
        key="gc",
        description="What no kept run needs.",
        table=[{"what": why, "number": len(some), "size": human_bytes(sum(some))} for why, some in sizes.items()],
    )
