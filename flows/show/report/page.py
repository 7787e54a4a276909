"""The record of a run and its datasets -> one HTML page that loads nothing from anywhere."""

import logging
from typing import Any, NamedTuple

import polars as pl
from rich.table import Table

from flows.show.bake_off_table import dropped_table, kept_table
from flows.show.console import Cells, cells, human_seconds
from flows.show.report import cost, examples, faults, mining, pictures, results, training
from flows.show.report.render import render
from flows.show.report.source import Source
from storage import backend, read, runs
from storage.runs import Run
from tasks.evaluate.significance import ALL

_ENDS = {
    "completed": "is complete",
    "running": "has not finished",
    "failed": "failed",
    "stopped": "was stopped",
    "killed": "was killed",
}
_TICKS = {0.0: "0", 0.25: ".25", 0.5: ".5", 0.75: ".75", 1.0: "1"}


class Report(NamedTuple):
    """A report that is written."""

    uri: str
    verdict: str
    faults: list[str]


def add_report(run: Run, root: str) -> Report | None:
    """Write a finished run's report, and where it lies into its record; if that fails, why: the run stays as it is."""
    try:
        report = write_report(run, root)
    except Exception as error:  # whatever it is, the run's work is done and worth more than the picture of it
        line = f"report: could not be made: {type(error).__name__}: {error}"
        logging.getLogger("polyloom.run").error(line)
        run.notes.append(line)
        return None
    if run.state != "completed":
        logging.getLogger("polyloom.run").info("report: %s", report.uri)
    return report


def write_report(run: Run, root: str) -> Report:
    """Write a run's report into its store; it is compared with the run of its name before it."""
    facts = _facts(run, root, runs.before(root, run))
    run.report = runs.report_uri(root, run.id)
    backend.put_bytes(render(facts).encode(), run.report)
    return Report(run.report, facts["verdict"], facts["faults"])


def page(run: Run, root: str, before: Run | None = None) -> str:
    """Make the page; a section whose datasets are not there is left out."""
    return render(_facts(run, root, before))


def write_comparison(table: Table, root: str) -> str:
    """Write an ablation's table as a page into the store, in place of the one before; return where it lies."""
    uri = runs.report_uri(root, runs.ABLATION)
    backend.put_bytes(render({"title": table.title, "tables": [cells(table)]}, "comparison.html").encode(), uri)
    return uri


def _facts(run: Run, root: str, before: Run | None) -> dict[str, Any]:
    source = Source(run, root)
    measured, mined, tables = _results(source), mining_facts(source), _tables(source)
    verdict, asked = f"This run {_ENDS[run.state]}; nothing was measured.", len(run.of("metrics"))
    if measured and len(measured["runs"]) < asked:
        verdict = f"This run {_ENDS[run.state]}; {len(measured['runs'])} of its {asked} systems are measured."
    elif measured:
        verdict = results.verdict(measured["table"])
    elif tables:
        verdict = f"{len({strategy for _, strategy, *_ in tables[0].rows})} strategies over one table of scores."
    return {
        "title": f"{run.name}, report of the run {run.id}",
        "run": run,
        "verdict": verdict,
        "tables": tables,
        "faults": _faults(source, measured, mined),
        "results": measured,
        "mining": mined,
        "training": training_facts(source),
        "examples": _examples(source, measured),
        "steps": cost.steps(source.stored),
        "settings": dict(cost.flat(run.settings)),
        "before": before,
        "differences": _differences(source, Source(before, root), mined) if before else None,
        "tiles": _tiles(source, mined),
    }


def _tables(source: Source) -> list[Cells]:
    """Take what a bake-off compared, if this run is one."""
    compared = source.read("bake_off")
    if compared is None:
        return []
    rows = compared.to_dicts()
    return [cells(kept_table(rows, source.run.settings["denoise"]["score"])), cells(dropped_table(rows))]


def _tiles(source: Source, mined: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Return the figures that tell the size of the run at a glance."""
    counted = {
        "Documents": source.of("corpus"),
        "Train queries": source.of("queries", split="train"),
        "Dev queries": source.of("queries", split="dev"),
    }
    tiles = [("Languages", str(len(source.of("corpus"))))]
    tiles += [
        (name, f"{sum(one.manifest.rows for one in found.values()):,}") for name, found in counted.items() if found
    ]
    if mined:
        kept, queries = (sum(row[name] for row in mined["funnel"]) for name in ("kept", "num_queries"))
        tiles.append(("Hard negatives a query", f"{kept / queries:.1f}"))
    return [*tiles, *([("Time of this run", human_seconds(source.run.seconds))] if source.run.seconds else [])]


def _results(source: Source) -> dict[str, Any] | None:
    metrics, qrels = source.metrics(), source.frame("qrels", split="dev")
    runs = {system: ranked for system in metrics if (ranked := source.frame("run", system=system)) is not None}
    if qrels is None or not runs or len(runs) < len(metrics):
        return None
    frames = {system: read(one.ref) for system, one in metrics.items()}
    table, counted = results.results(frames), source.read("copies")
    copies = {} if counted is None else {row["language"]: row["num_copies"] for row in counted.to_dicts()}
    first = (pl.col("metric") == next(iter(table))) & (pl.col("query_id") != ALL)
    return {
        "table": table,
        "holes": {system: results.holes(of_system, qrels) for system, of_system in runs.items()},
        "copies": copies | {ALL: sum(copies.values())} if copies else {},
        "num_queries": {row["language"]: row["num_queries"] for row in next(iter(table.values()))},
        "runs": runs,
        "qrels": qrels,
        "values": {
            system: frame.filter(first).select("language", "query_id", "value") for system, frame in frames.items()
        },
    }


def mining_facts(source: Source) -> dict[str, Any] | None:
    """Tell what became of the candidates; None where the run has no ledger."""
    ledger, qrels = source.frame("hard_negatives"), source.frame("qrels", split="train")
    scores, calibration = source.frame("scores"), source.read("calibration")
    if ledger is None or scores is None or qrels is None:
        return None
    denoise = source.run.settings["denoise"]
    cuts = mining.cuts(denoise)
    reliability = {} if calibration is None else mining.reliability(calibration)
    return {
        "funnel": mining.funnel(ledger),
        "distributions": {
            language: pictures.distributions(shares, cuts)
            for language, shares in mining.histograms(scores, qrels).items()
        },
        "cuts": cuts,
        "reliability": {
            language: pictures.chart(
                {"ideal": [(0, 0), (1, 1)], "observed": [(row["probability"], row["observed"]) for row in rows]},
                x=_TICKS,
                y=_TICKS,
            )
            for language, rows in reliability.items()
        },
        "errors": {language: rows[0]["error"] for language, rows in reliability.items()},
    }


def training_facts(source: Source) -> dict[str, Any] | None:
    """Tell how the batches came out and the training went; None where the run has no plan."""
    plan, topics, log = (source.read(kind) for kind in ("batch_plan", "topics", "training_log"))
    if plan is None or topics is None:
        return None
    found: dict[str, Any] = {"plan": training.batches(topics, plan), "curves": {}}
    if log is not None:
        curves, losses = training.curves(log), training.losses(log)
        places = [point for points in losses.values() for point in points]
        axes = [pictures.ticks([place[axis] for place in places]) for axis in (0, 1)] if places else []
        found |= {
            "loss": training.ends(curves["loss"]),
            "seconds": source.of("training_log")["all"].manifest.seconds,
            "curves": {name: pictures.chart({name: points}) for name, points in curves.items()},
            "by_language": {name: pictures.chart({name: points}, *axes) for name, points in losses.items()},
        }
    return found


def _examples(source: Source, measured: dict[str, Any] | None) -> list[dict[str, Any]]:
    corpus, ledger = source.frame("corpus"), source.frame("hard_negatives")
    number = examples.per_kind(len(source.of("corpus")))
    chosen: dict[str, list[dict[str, Any]]] = {}
    if ledger is not None:
        chosen["train"] = examples.decisions(ledger, number)
    if measured and len(measured["runs"]) > 1:
        chosen["dev"] = examples.contests(measured["values"], measured["runs"], number)
    rows = []
    for split, some in chosen.items():
        queries, qrels = (source.frame(kind, split=split) for kind in ("queries", "qrels"))
        if corpus is not None and queries is not None and qrels is not None:
            rows += examples.complete(some, queries=queries, qrels=qrels, corpus=corpus)
    return rows


def _differences(source: Source, before: Source, mined: dict[str, Any] | None) -> dict[str, Any]:
    found, ledger = cost.differences(source.run, before.run), before.frame("hard_negatives")
    now, old = ({system: read(one.ref) for system, one in of.metrics().items()} for of in (source, before))
    funnel = None  # not known
    if mined and ledger is not None:
        rows = {row["language"]: row for row in mined["funnel"]}
        both = [
            (row["language"], row, rows[row["language"]]) for row in mining.funnel(ledger) if row["language"] in rows
        ]
        funnel = [one for one in both if one[1] != one[2]]
    return found | {"funnel": funnel, "tests": results.since(now, old, found["metric"])}


def _faults(source: Source, measured: dict[str, Any] | None, mined: dict[str, Any] | None) -> list[str]:
    run, lines = source.run, []
    if run.state != "completed":
        why = f": {run.error.removeprefix('stopped ')}" if run.error else "."
        lines.append(f"This run {_ENDS[run.state]}{why}")
    documents = {language: one.manifest.rows for language, one in source.of("corpus").items()}
    lists = {}
    if measured:
        found = [faults.reciprocal_ranks(runs, measured["qrels"]) for runs in measured["runs"].values()]
        best = {language: max(one.get(language, 0.0) for one in found) for language in found[0]}
        lines += faults.lost_answers(best, "dev")
        for system in measured["runs"]:
            if system == "bm25":  # which ranks only what shares a word with the query
                continue
            for language, one in source.of("run", system=system).items():
                asked = min(one.manifest.arguments["depth"], documents.get(language, 0))
                per_query = one.manifest.rows / measured["num_queries"][language]
                lists[f"the run of {system} has", language] = (per_query, asked)
    ledger, qrels = source.frame("hard_negatives"), source.frame("qrels", split="train")
    if mined and ledger is not None and qrels is not None:
        lines += faults.lost_answers(faults.reciprocal_ranks(ledger, qrels), "train")
        lines += faults.odd_judges(mined["funnel"], run.settings["denoise"]["strategy"])
        for row in mined["funnel"]:
            asked = min(run.settings["retrieve"]["fuse"]["top_k"], documents.get(row["language"], 0))
            per_query = (row["candidates"] - row["supplemented"]) / row["num_queries"]
            lists["the list of candidates has", row["language"]] = (per_query, asked)
    return lines + faults.short_lists(lists)
