"""Progress artifacts on a real server: made for what takes a while, updated, and harmless where the server is gone."""

import contextlib
import json
import urllib.request

import httpx
import pytest
from prefect import flow, task
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

from flows.run import progress
from flows.run.progress import with_artifact

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def api(prefect_api):
    with temporary_settings(
        {PREFECT_API_URL: prefect_api, PREFECT_LOGGING_LEVEL: "CRITICAL", PREFECT_LOGGING_TO_API_ENABLED: False}
    ):
        yield prefect_api


def artifacts(api, key):
    filters = {"artifacts": {"key": {"any_": [key]}}}
    request = urllib.request.Request(
        f"{api}/artifacts/filter", json.dumps(filters).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def work(label, seen, notes):
    @contextlib.contextmanager
    def draw(total, unit):
        yield lambda done, note="": seen.append((done, note))

    @task(name="work", persist_result=False)
    def steps():
        with with_artifact(draw, label, len(notes), "steps") as draw_done:
            for done, note in enumerate(notes, start=1):
                draw_done(done, note)

    @flow(name="test-progress", persist_result=False)
    def run():
        steps()

    run()


def test_shows_figures_and_ends_at_100(api, monkeypatch):
    monkeypatch.setattr(progress, "ARTIFACT_SECONDS", 0.0)
    seen = []
    work("find_features-all", seen, ["loss 0.9", "loss 0.5"])
    (found,) = artifacts(api, "find-features-all")
    assert (found["type"], found["data"]) == ("progress", 100.0)
    assert found["description"] == "2 of 2 steps: loss 0.5"
    assert found["task_run_id"]
    assert seen == [(1, "loss 0.9"), (2, "loss 0.5")]


def test_short_work_has_none(api):
    work("quick-all", [], ["", ""])
    assert artifacts(api, "quick-all") == []


def test_work_goes_on_where_the_server_is_gone(api, monkeypatch, caplog):
    monkeypatch.setattr(progress, "ARTIFACT_SECONDS", 0.0)
    seen = []
    # a task run keeps its client, so the server of this one cannot be taken away: another that is not there
    monkeypatch.setattr("prefect.artifacts.create_progress_artifact", lambda *_, **__: httpx.get("http://127.0.0.1:1"))
    work("unseen-all", seen, ["", ""])
    assert seen == [(1, ""), (2, "")]
    assert "its progress is no longer shown" in caplog.text
    assert artifacts(api, "unseen-all") == []
