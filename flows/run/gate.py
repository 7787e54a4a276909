"""A new model replaces the last good one of its pipeline unless it is worse on the dev queries beyond chance."""

from dataclasses import dataclass

import polars as pl

from flows.configs import PipelineConfig
from flows.run.pipeline import Pipeline
from storage import DamagedDataset, DatasetRef, MissingDataset, inspect, latest, load, scan
from storage.latest import Latest
from tasks.engine.step import deferred

significance = deferred("tasks.evaluate.significance")  # loads scipy

_ALL = "all"  # stands for the mean over languages, and for that over queries
_IN_COMMON = 0.5  # of the dev queries, at least
_GROWTH = 0.1  # of a language's corpus, at most: each further document makes every model's task a little harder
_BY_HAND = "`polyloom latest RUN` chooses by hand"
_ASKED = ["language", "query_id", "text", "judged"]


@dataclass(frozen=True)
class Verdict:
    """Whether the run's model is the one to use from now on, and why."""

    won: bool
    text: str


def settle(pipeline: Pipeline, config: PipelineConfig, run: str) -> Verdict | None:
    """Compare a run's model with the last good one, and let it replace that if it may.

    Args:
        pipeline: built.
        config: its settings.
        run: its id.

    Returns:
        Which model it is now; None where the run makes none, or that which it is already.
    """
    root = config.storage.location
    made = _model_and_measures(pipeline, root)
    return decide(root, pointer(config.name, run, *made), config.export.tolerance) if made else None


def is_open(pipeline: Pipeline, config: PipelineConfig) -> bool:
    """Say whether `settle` will have something to decide: the run makes a model that is not the one to use already."""
    root = config.storage.location
    made, last = _model_and_measures(pipeline, root), latest.read(root, config.name)
    return made is not None and (last is None or last.model != _name(made[0]))


def _model_and_measures(pipeline: Pipeline, root: str) -> tuple[DatasetRef, DatasetRef] | None:
    models = [promise.ref(root) for promise in pipeline.promises if promise.step.produces == "model"]
    measures = [promise.ref(root) for promise in pipeline.metrics if promise.arguments["system"] == "trained"]
    return (models[0], measures[0]) if models and measures else None


def decide(root: str, new: Latest, tolerance: float) -> Verdict | None:
    """Let a model replace the last good one of its name, unless it is worse; None where it is that one."""
    last = latest.read(root, new.name)
    if last and last.model == new.model:
        latest.write(root, last.model_copy(update={"run": new.run}))  # whose datasets `gc` keeps: the newest's
        return None
    won, why = _is_not_worse(root, last, new, tolerance) if last else (True, f"the first of {new.name}")
    if won:
        latest.write(root, new.model_copy(update={"why": why}))
    return Verdict(
        won, f"model/latest is {f'still run {last.run}' if last and not won else 'this run'}'s model: {why}."
    )


def pointer(name: str, run: str, model: DatasetRef, measures: DatasetRef) -> Latest:
    """Describe a model, and what it was measured to be by the first measure."""
    mean = next(row for row in inspect.metrics_means(measures) if row["language"] == _ALL)
    found = {"model": _name(model), "metrics": _name(measures), "metric": mean["metric"], "value": mean["value"]}
    return Latest(name=name, run=run, **found)


def _name(ref: DatasetRef) -> str:
    return f"{ref.kind}/{ref.partition}/{ref.fingerprint}"


def _is_not_worse(root: str, last: Latest, new: Latest, tolerance: float) -> tuple[bool, str]:
    """Test the differences on the queries that both were measured on; what cannot be compared does not win."""
    try:
        (then, sizes_then), (now, sizes_now) = (_measured(root, one.metrics, new.metric) for one in (last, new))
    except (MissingDataset, DamagedDataset) as error:
        return False, f"what it was measured on is gone ({error}) {_BY_HAND}"
    both = now.join(then, on=_ASKED, suffix=" then").sort("language", "query_id")
    if both.height < _IN_COMMON * max(then.height, now.height):
        number = max(then.height, now.height)
        return False, f"this run's has other dev data, {both.height:,} of {number:,} queries in common; {_BY_HAND}"
    for language in both["language"].unique().sort():
        before, after = sizes_then.get(language, 0), sizes_now.get(language, 0)
        if abs(after - before) > _GROWTH * before:
            return False, f"this run's has another corpus, {language} {before:,} → {after:,} documents; {_BY_HAND}"
    groups = both.select("language", gap=pl.col("value") - pl.col("value then")).partition_by("language")
    gaps = [one["gap"].to_numpy() for one in groups]
    low, high = significance.stratified_interval(gaps)
    figures = f"{new.metric} {(low + high) / 2:+.4f} [{low:+.4f}, {high:+.4f}] on {both.height:,} dev queries"
    allowed = f", tolerance {tolerance:g}" if tolerance else ""
    if high < -tolerance:
        return False, f"this run's is worse beyond chance, {figures}{allowed}"
    return True, f"not worse than run {last.run}'s beyond chance, {figures}{allowed}"


def _measured(root: str, name: str, metric: str) -> tuple[pl.DataFrame, dict[str, int]]:
    """Read a model's values with what was asked, texts and judgements; and how many documents each language had."""
    measures = inspect.resolve(root, name)
    values = scan(measures).filter(pl.col("metric") == metric, pl.col("query_id") != _ALL)
    inputs = {entry.name: entry.ref(root) for entry in load(measures).inputs}
    asked = []
    for name, queries in inputs.items():
        kind, _, language = name.partition(".")
        if kind == "queries":
            judged = scan(inputs[f"qrels.{language}"]).sort("doc_id").group_by("query_id", maintain_order=True)
            texts = judged.agg(judged=pl.format("{} {}", "doc_id", "relevance").str.join("\n"))
            asked.append(scan(queries).select("query_id", "text", language=pl.lit(language)).join(texts, on="query_id"))
    manifests = [manifest for _, _, manifest in inspect.lineage(measures) if not isinstance(manifest, str)]
    sizes = {manifest.partition: manifest.rows for manifest in manifests if manifest.kind == "corpus"}
    return values.join(pl.concat(asked), on=["language", "query_id"]).select(*_ASKED, "value").collect(), sizes
