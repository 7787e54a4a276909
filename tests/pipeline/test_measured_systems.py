"""Systems measured on request, on the tiny pipeline: an encoder, a run file, and BM25 fused with the trained one."""

import json
import shutil

import polars as pl
import pytest
from rich.console import Console
from support.in_process import build_missing
from support.tiny_model import write_tiny_encoder
from typer.testing import CliRunner

import storage
from flows.cli.main import app
from flows.run.pipeline import all_stored
from flows.run.record import recorded
from flows.show.report.page import page
from flows.show.report.results import results
from flows.show.results import metrics_table
from flows.weave import weave
from storage.runs import RunDataset
from tasks.retrieve.fuse import fuse_candidates

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def measured(woven, tmp_path_factory):
    """Measure a second tiny encoder, a copy of BM25's own run file and two fusions, in a copy of the tiny store."""
    folder = tmp_path_factory.mktemp("measured")
    shutil.copytree(woven.folder / "data", folder / "data")
    write_tiny_encoder(folder / "other", seed=7)
    runs = [one for one in weave(woven.settings()).promises if one.settings.get("system") == "bm25"]
    for one in (one for one in runs if one.step.name == "make_run"):
        file = storage.folder(one.ref(str(folder / "data"))) / "trec" / "bm25.run"
        shutil.copy(file, folder / f"{one.partition}.trec")
    systems = [
        f"{{name: other, model: {folder / 'other'}, max_document_tokens: 16}}",
        f"{{name: copied, run: '{folder}/{{language}}.trec'}}",
        "{name: hybrid, fuse: [bm25, trained], weights: {trained: 2}}",
        "{name: both, fuse: [copied, other], method: rrf}",
    ]
    sets = (f"evaluate.systems=[{', '.join(systems)}]", f"storage.root={folder / 'data'}")
    pipeline = weave(woven.settings(*sets))
    done: list[RunDataset] = []
    with recorded(woven.settings(*sets), pipeline, done) as run:
        built = build_missing(pipeline, str(folder / "data"))
        done += all_stored(pipeline, str(folder / "data")) or []
    return folder, pipeline, built, run, sets


def dataset(measured, kind: str, system: str | None, partition: str = "all", **arguments: str) -> pl.DataFrame:
    """Read the last dataset of a kind that was made for a system, or with other arguments."""
    folder, pipeline, *_ = measured
    asked = {"system": system, **arguments} if system else arguments
    found = [
        one
        for one in pipeline.promises
        if (one.step.produces, one.partition) == (kind, partition) and asked.items() <= one.settings.items()
    ]
    return storage.read(found[-1].ref(str(folder / "data")))


def made_of(measured, system: str, partition: str) -> pl.DataFrame:
    """Read the candidates that a system's run is cut from."""
    folder, pipeline, *_ = measured
    runs = [one for one in pipeline.promises if (one.step.name, one.partition) == ("make_run", partition)]
    (found,) = [one.inputs["candidates"] for one in runs if one.settings["system"] == system]
    return storage.read(found.ref(str(folder / "data")))


def test_they_are_measured_beside_the_others_and_nothing_before_the_evaluation_is_built(measured):
    _, pipeline, built, *_ = measured
    stages = {id(staged.promise): staged.stage for staged in pipeline.staged}
    assert {stages[id(one)] for one in built} == {"evaluate"}
    order = [one.settings["system"] for one in pipeline.metrics]
    assert order == ["bm25", "untrained", "other", "copied", "hybrid", "both", "trained"]


def test_run_file_has_the_values_of_the_run_that_it_is_of(measured):
    ours, theirs = (dataset(measured, "metrics", system).drop("system") for system in ("bm25", "copied"))
    assert theirs.equals(ours)


def test_hybrid_is_the_fusion_of_what_both_found(measured):
    found = [made_of(measured, system, "sw") for system in ("bm25", "trained")]
    how = {"method": "z_score", "standardise": "language", "weights": {"trained": 2.0}, "top_k": 100}
    fused = fuse_candidates(pl.concat(found), **how)
    run = dataset(measured, "run", "hybrid", "sw")
    assert run.drop("system").equals(fused.select("query_id", "doc_id", "rank", "score"))
    assert not run["doc_id"].equals(dataset(measured, "run", "trained", "sw")["doc_id"])


def test_report_and_compare_test_each_against_each(measured, tmp_path):
    folder, pipeline, _, run, _ = measured
    frames = {one.settings["system"]: dataset(measured, "metrics", one.settings["system"]) for one in pipeline.metrics}
    *_, overall = results(frames)["nDCG@10"]
    assert len(overall["pairs"]) == 21
    assert list(overall["systems"])[-1] == "trained"
    html = page(run, str(folder / "data"))
    assert all(f"trained − {system}" in html for system in ("other", "copied", "hybrid", "both"))
    asked = ["compare", "latest", "--root", str(folder / "data"), "--json", str(tmp_path / "a.json")]
    answer = CliRunner().invoke(app, asked, catch_exceptions=False, env={"COLUMNS": "80"})
    rows = json.loads((tmp_path / "a.json").read_text())["metrics"]
    shown = {row["variant"]: row for row in rows if row["metric"] == "nDCG@10"}
    assert "differences to 'trained'" in answer.output
    assert max(map(len, answer.output.splitlines())) <= 80
    assert shown["trained"]["p"] is None
    assert shown["copied"] | {"variant": ""} == shown["bm25"] | {"variant": ""}
    tests = [row for row in rows if row["p"] is not None]
    assert min(row["p_holm"] for row in tests) == min(1, len(tests) * min(row["p"] for row in tests))
    table = Console(width=80)
    with table.capture() as captured:
        table.print(metrics_table(run.metrics))
    assert all(f"{row['mean']:.4f}" in captured.get() for row in rows)


def test_search_asks_them_what_they_can_answer(measured, woven, tmp_path):
    _, _, _, _, sets = measured
    query = dataset(measured, "queries", None, "sw", split="dev").row(2, named=True)
    places = [f"--set={one}" for one in (*sets, f"encoder.model={woven.folder / 'model'}")]

    def ask(words: str) -> dict:
        command = ["search", str(woven.folder / "tiny.yaml"), words, "--json", str(tmp_path / "a.json"), *places]
        assert CliRunner().invoke(app, [*command, "--language=sw"], catch_exceptions=False).exit_code == 0
        return json.loads((tmp_path / "a.json").read_text())

    known = ask(query["query_id"])["systems"]
    assert list(known) == ["bm25", "untrained", "other", "copied", "hybrid", "both", "trained"]
    for system, rows in known.items():
        run = dataset(measured, "run", system, "sw").filter(pl.col("query_id") == query["query_id"])
        assert [row["doc_id"] for row in rows] == run["doc_id"].to_list()[:10]
    free = ask("Je, mji mkuu ni upi?")
    assert list(free["systems"]) == ["bm25", "untrained", "other", "trained"]
    assert free["missing"] == [f"{one}: it has ranked the dev queries alone." for one in ("copied", "hybrid", "both")]
