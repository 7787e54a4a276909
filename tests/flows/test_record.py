"""The record of a run: written at its beginning, and however it ends."""

import threading

import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from support.in_process import build_missing
from support.loom import NumberConfig, fail, make_numbers, sum_numbers

from flows.configs import PipelineConfig
from flows.run import record
from flows.run.execute import Execution
from flows.run.pipeline import Pipeline, all_stored
from flows.run.record import differing, recorded, same_report
from storage import backend, runs


@pytest.fixture
def config(tmp_path):
    return PipelineConfig.model_validate(
        {"name": "mine", "languages": ["en"], "storage": {"root": str(tmp_path)}, "plan_batches": {"seed": 7}}
    )


def woven(*further):
    numbers = make_numbers("en", config=NumberConfig(values=(1,)))
    return Pipeline.weave({"ingest": [numbers], "train": [step(numbers) for step in further]}, metrics=[])


def test_a_run_is_on_record_while_it_goes_on_and_after(config):
    root = config.storage.location
    with recorded(config, woven(), [], until="ingest", refresh=["ingest"]) as run:
        (early,) = runs.runs(root)
        assert (early.state, early.ended_at, [one.status for one in early.datasets]) == ("running", None, ["not run"])
        run.report = f"{root}/reports/report.html"
    (late,) = runs.runs(root)
    assert (late.id, late.name, late.state, late.until, late.refresh, late.report) == (
        early.id, "mine", "completed", "ingest", ["ingest"], f"{root}/reports/report.html",
    )  # fmt: skip
    assert late.ended_at >= late.started_at
    assert {name: late.changed[name] for name in ("name", "plan_batches.seed")} == {
        "name": "mine",
        "plan_batches.seed": 7,
    }
    assert late.settings["train"]["checkpoint_minutes"] == 2  # out of fingerprints, but a setting
    assert late.codes == {"make_numbers": woven().promises[0].step.code}


def test_a_run_says_from_time_to_time_that_it_goes_on_and_not_after_its_end(config, monkeypatch):
    root, written = config.storage.location, threading.Event()
    monkeypatch.setattr(record, "BEAT_SECONDS", 0.01)
    write = runs.write
    monkeypatch.setattr(runs, "write", lambda root, run: (write(root, run), written.set()))
    with recorded(config, woven(), []) as run:
        began = runs.read(root, run.id).alive_at
        for _ in range(3):
            written.clear()
            assert written.wait(60)
        assert runs.read(root, run.id).alive_at > began
    written.clear()
    assert runs.read(root, run.id).state == "completed"
    assert not written.wait(0.1)


def test_languages_that_the_sample_lacks_are_on_record_as_the_rest(tmp_path):
    settings = {
        "languages": ["de", "yo"],
        "ingest": {"layout": "miracl", "path": "x"},
        "storage": {"root": str(tmp_path)},
    }
    config = PipelineConfig.model_validate(settings)
    with recorded(config, woven(), []):
        pass
    (run,) = runs.runs(config.storage.location)
    assert (run.state, run.changed["ingest.layout"], run.settings["languages"]) == ("completed", "miracl", ["de", "yo"])
    assert "languages" not in run.changed


@pytest.mark.parametrize(("error", "state"), [(ValueError("no\nsuch"), "failed"), (KeyboardInterrupt(), "stopped")])
def test_one_that_does_not_end_well_says_how(config, error, state):
    with pytest.raises(type(error)), recorded(config, woven(), []):
        raise error
    (run,) = runs.runs(config.storage.location)
    assert run.state == state
    assert run.error == ("ValueError: no such" if state == "failed" else "KeyboardInterrupt")


def test_differing_settings_are_named_with_dots():
    one = {"a": {"b": 1, "c": [1, 2]}, "d": None, "e": {"f": 1}}
    assert differing(one, one) == {}
    assert differing(one, {"a": {"b": 1, "c": [1]}, "d": {"x": 1}, "g": 1}) == {
        "a.c": ([1, 2], [1]),
        "d": (None, {"x": 1}),
        "e": ({"f": 1}, None),
        "g": (None, 1),
    }


def test_the_report_of_the_run_before_is_this_ones_where_nothing_is_new(config):
    root, pipeline = config.storage.location, woven()
    build_missing(pipeline, root)
    results = all_stored(pipeline, root)
    found = []

    def take(run, root):
        found.append(same_report(run, root))
        run.report = runs.report_uri(root, run.id)
        backend.put_bytes(b"<html>", run.report)

    for settings in (config, config, config.model_copy(update={"languages": ("fi",)})):
        with recorded(settings, pipeline, results, at_end=take):
            pass
    first, second, third = reversed(runs.runs(root))
    assert found == [None, first.report, None]
    backend.remove(second.report)
    assert same_report(third, root) is None


@pytest.mark.prefect
@pytest.mark.timeout(180)
def test_what_was_done_before_a_step_failed_is_on_record(config, prefect_api):
    root = config.storage.location
    pipeline = woven(
        lambda numbers: fail(numbers=numbers), lambda numbers: sum_numbers(parts={"x": fail(numbers=numbers)})
    )

    @flow(name="test", persist_result=False)
    def execute():
        execution = Execution(pipeline, root, config.resources)
        with recorded(config, pipeline, execution.results.values(), failed=execution.failed):
            execution.run()

    quiet = {PREFECT_API_URL: prefect_api, PREFECT_LOGGING_LEVEL: "CRITICAL", PREFECT_LOGGING_TO_API_ENABLED: False}
    with temporary_settings(quiet), pytest.raises(ValueError, match="Do not use this step"):
        execute()
    (run,) = runs.runs(root)
    assert [(one.step, one.status, one.rows) for one in run.datasets] == [
        ("make_numbers", "built", 1),
        ("fail", "failed", None),
        ("sum_numbers", "not run", None),
    ]
    assert (run.state, run.error[:17]) == ("failed", "ValueError: fail:")
