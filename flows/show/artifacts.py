"""Artifacts in the Prefect UI, each on the stage that made it: tables narrow enough to be read, and pictures."""

import base64
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from flows.configs import PipelineConfig
from flows.run.pipeline import Pipeline
from flows.show.bake_off_table import by_strategy
from flows.show.console import human_bytes
from flows.show.report.mining import CLASSES
from flows.show.report.page import add_report, mining_facts, training_facts
from flows.show.report.render import render
from flows.show.report.source import Source
from flows.show.report.training import batches
from flows.show.results import result_notes
from storage import inspect, read
from storage.care import Waste
from storage.runs import Run, RunDataset
from tasks.engine.step import Promise

_WIDTH = 36  # characters of a name in a table of the UI


def publish_stage(
    stage: str, results: Sequence[RunDataset], *, run: Run, pipeline: Pipeline, config: PipelineConfig
) -> None:
    """Publish what a stage made, in its flow run: its datasets, and the figures and pictures that tell of it."""
    root = config.storage.location
    made = {(one.kind, one.partition, one.fingerprint): one for one in results}
    create_table_artifact(
        key="datasets",
        description=f"Every dataset of {stage}, with what it was made from.",
        table=[
            {
                "dataset": str(staged.promise.ref(root)),
                "status": result.status,
                "rows": result.rows,
                "seconds": result.seconds,
                "made from": ", ".join(dict.fromkeys(_place(one) for one in staged.promise.inputs.values())),
            }
            for staged in pipeline.staged
            if (result := made.get(_key(staged.promise)))
        ],
    )
    try:
        _publish_figures(stage, Source(run, root), pipeline, config)
    except Exception as error:
        if isinstance(error, httpx.HTTPError):
            raise
        # whatever it is, the stage's work is done and worth more than the picture of it
        logging.getLogger("polyloom.run").error("artifacts of %s: %s: %s", stage, type(error).__name__, error)


def _key(promise: Promise) -> tuple[str, str, str]:
    return promise.step.produces, promise.partition, promise.fingerprint


def _place(promise: Promise) -> str:
    return f"{promise.step.produces}/{promise.partition}"


def _publish_figures(stage: str, source: Source, pipeline: Pipeline, config: PipelineConfig) -> None:
    if stage == "denoise" and (mined := mining_facts(source)):
        columns = ("language", "num_queries", "candidates", "judged", "dropped", "kept", "negatives", "without")
        table = [{name: _shown(row[name]) for name in columns} for row in mined["funnel"]]
        create_table_artifact(key="funnel", description="What became of the candidates, by language.", table=table)
        _publish_picture("scores", mined["distributions"], "Probabilities by the judge.", legend=CLASSES)
    elif stage == "plan_batches" and (shares := batch_shares(pipeline, source.root)):
        create_table_artifact(
            key="shares",
            description="Languages and topics before (train queries) and after: slots of the plan, and their weights.",
            table=shares,
        )
    elif stage == "train" and (trained := training_facts(source)):
        _publish_picture("training", trained["curves"], "Across: training steps, neighbouring ones put together.")
    elif stage == "evaluate":
        means = [row for promise in pipeline.metrics for row in inspect.metrics_means(promise.ref(source.root))]
        for metric in dict.fromkeys(row["metric"] for row in means):
            create_table_artifact(
                key=_slug(f"metrics-{metric}"),
                description=" ".join([f"{metric} of the dev queries; `all`: mean.", *result_notes(pipeline, config)]),
                table=_by_language([row for row in means if row["metric"] == metric]),
            )


def _publish_picture(key: str, charts: Mapping[str, Any], description: str, legend: Sequence[str] = ()) -> None:
    if charts:
        picture = base64.b64encode(render({"charts": charts, "legend": legend}, "picture.html").encode()).decode()
        create_image_artifact(f"data:image/svg+xml;base64,{picture}", key=key, description=description)


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


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
    """One line per language, the mean last, and one column per system: narrow enough to be read."""
    lines: dict[str, dict[str, Any]] = {}
    for row in sorted(means, key=lambda row: (row["language"] == "all", row["language"])):
        line = lines.setdefault(row["language"], {"language": row["language"], "queries": row["num_queries"]})
        line[row["system"]] = round(row["value"], 4)
        if row["num_new"] < row["num_queries"]:
            new_value = row["new_value"]
            line["not in train"] = row["num_new"]
            line[f"{row['system']}, not in train"] = None if new_value is None else round(new_value, 4)
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
