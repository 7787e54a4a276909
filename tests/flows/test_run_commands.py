"""`runs`, `compare` and `report` over runs that ended in every way."""

from pathlib import Path

import pytest
from support.report_store import FinishedRun
from typer.testing import CliRunner

from flows.cli.main import app
from flows.show.results import runs_table
from storage import MissingDataset, runs
from storage.runs import Run

FIRST, STOPPED, LATER, PART = (f"20261126-{hour}0000-{name}" for hour, name in
                              ((12, "abcd"), (13, "bcde"), (14, "cdef"), (15, "defa")))  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write a complete run, one of another seed that was stopped before it measured, a complete one, a part."""
    root = str(tmp_path_factory.mktemp("runs"))
    first = FinishedRun(root, ["en", "sw"]).write(FIRST)
    seeded = {**first.settings, "plan_batches": {**first.settings["plan_batches"], "seed": 14}}
    gone = [
        one.model_copy(update={"status": "not run", "fingerprint": "not-built"})
        if one.stage in ("train", "evaluate")
        else one
        for one in first.datasets
    ]
    stopped = {"datasets": gone, "metrics": [], "state": "stopped", "error": "stopped at 8 of 44 steps"}
    runs.write(root, first)
    runs.write(root, first.model_copy(update={"id": STOPPED, "settings": seeded, **stopped}))
    runs.write(root, first.model_copy(update={"id": LATER}))
    part = [one for one in first.datasets if one.stage == "ingest"]
    runs.write(root, first.model_copy(update={"id": PART, "until": "ingest", "datasets": part, "metrics": []}))
    return root


def said(root: str, *arguments: str) -> str:
    """Return what a command says, in one line."""
    answer = CliRunner().invoke(app, [*arguments, "--root", root], catch_exceptions=False)
    return " ".join(answer.output.split())


def test_stopped_run_is_compared_as_far_as_it_got(store):
    text = said(store, "compare", STOPPED, FIRST)
    assert "plan_batches.seed 14 13" in text
    assert "candidates 3,120 3,120" in text
    assert text.endswith(f"No metrics are compared: the store has no measures of a trained system of {STOPPED}.")


def test_those_of_several_runs_that_were_measured_are_compared(store):
    text = said(store, "compare", FIRST, STOPPED, LATER)
    table, _, note = text.partition("Not compared: ")
    assert "nDCG@10 abcd" in table
    assert "cdef 1 " in table
    assert "bcde 1 " not in table
    assert note == f"the store has no measures of a trained system of {STOPPED}."


def test_run_is_not_compared_with_itself(store):
    with pytest.raises(ValueError, match=f"compare: expected runs that differ, got {LATER} twice. Name each once."):
        said(store, "compare", FIRST, LATER, "cdef")


def test_systems_of_a_run_without_measures_are_not_compared(store):
    with pytest.raises(ValueError, match=f"run {STOPPED}: expected two systems to compare, got 0"):
        said(store, "compare", STOPPED)


def test_run_and_configuration_are_not_both_taken(store):
    with pytest.raises(ValueError, match="--run latest: expected it without --config c.yaml, got both"):
        said(store, "show", "corpus/en", "--run", "latest", "--config", "c.yaml")


def test_dataset_is_that_of_the_last_completed_run_that_has_it(store):
    assert f"run {PART} (sixteen, until ingest), completed" in said(store, "show", "corpus/sw")
    assert f"run {LATER} (sixteen), completed" in said(store, "show", "hard_negatives/sw")
    with pytest.raises(MissingDataset, match=r"dataset 'hard_negatives/sw': expected one of run .* until ingest"):
        said(store, "show", "hard_negatives/sw", "--run", "latest")


def test_long_setting_is_broken_before_the_last_part_of_its_name():
    settings = [{"denoise": {"max_grade_kept": grade, "strategy": "grade"}, "seed": grade} for grade in (0, 1)]
    before, now = (Run(id=name, name="one", settings=one, started_at="2026-11-26T12:00:00+00:00") for name, one in
                   zip((FIRST, LATER), settings, strict=True))  # fmt: skip
    assert [*runs_table([now, before]).columns[4].cells] == ["denoise.\nmax_grade_kept 1\nseed 1", "the first"]


@pytest.mark.parametrize("state", ["running", "failed", "stopped", "killed"])
def test_report_is_made_of_a_run_however_it_ended(tmp_path, state):
    root = str(tmp_path)
    run = Run(id=FIRST, name="one", state=state, settings={"storage": {}}, process=runs.this_process(), started_at="")
    runs.write(root, run)
    shown = said(root, "report", FIRST)
    ends = {"running": "has not finished", "failed": "failed", "stopped": "was stopped", "killed": "was killed"}
    assert f"<h1>This run {ends[state]}; nothing was measured.</h1>" in Path(shown.removeprefix("Report: ")).read_text()
    # a run that goes on keeps the record that it writes itself
    assert runs.read(root, FIRST) == (run if state == "running" else run.model_copy(update={"report": shown[8:]}))


def test_list_names_what_it_leaves_out(tmp_path, caplog):
    manifest = tmp_path / "corpus" / "en" / "abc" / "manifest.json"
    record = tmp_path / "runs" / f"{FIRST}.json"
    for file in (manifest, record):
        file.parent.mkdir(parents=True)
        file.write_text("{")
    with pytest.raises(MissingDataset, match="ls: expected datasets in .*, found none"):
        said(str(tmp_path), "ls")
    with pytest.raises(MissingDataset, match="runs: expected one in .*, found none"):
        said(str(tmp_path), "runs")
    first, second = caplog.messages
    assert first.startswith(f"{manifest}: expected a manifest, got 1 errors")
    assert second == f"{record}: expected the record of a run, got 1 errors. Remove the file."
