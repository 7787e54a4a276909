"""The report of a real run: written when it ends, named in its record, in `run --json` and in Prefect's artifacts."""

import json
import urllib.request
from pathlib import Path

import pytest
from support.browser import check_layout

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(600)]


def test_run_ends_with_a_report_that_fits_any_screen(built):
    loom, answer = built
    report = Path(answer["report"])
    assert report.parent == loom.folder / "data" / "reports"
    html = report.read_text()
    sections = ("results", "funnel", "scores", "batches", "training", "examples", "cost")
    assert [name for name in sections if f'<section id="{name}">' not in html] == []
    check_layout(report, "tiny")


def test_report_is_named_in_the_record_and_among_the_artifacts(built):
    loom, answer = built
    record = loom.folder / "data" / "runs" / f"{Path(answer['report']).stem}.json"
    assert json.loads(record.read_text())["report"] == answer["report"]
    request = urllib.request.Request(
        f"{loom.environment['PREFECT_API_URL']}/artifacts/filter",
        data=json.dumps({"artifacts": {"key": {"any_": ["report"]}}}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as found:
        artifacts = [artifact["data"] for artifact in json.load(found)]
    (data,) = [one for one in artifacts if answer["report"] in one]
    assert data.startswith(f"**{verdict(Path(answer['report']))}**")


def verdict(report: Path) -> str:
    return report.read_text().partition("<h1>")[2].partition("</h1>")[0]
