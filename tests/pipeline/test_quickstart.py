"""What a new user runs first, as it is: the real encoder, three languages, Prefect's own server."""

import os
from pathlib import Path

import pytest
from support.browser import check_layout, opened
from support.command import Loom

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(1200)]

QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart.yaml"


def test_quickstart_trains_a_better_retriever_and_is_cached_after_that(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": str(QUICKSTART.parents[1])}
    loom = Loom(tmp_path, environment)
    first = loom.run(str(QUICKSTART))
    mean = {
        row["system"]: row["value"]
        for row in first["metrics"]
        if (row["language"], row["metric"]) == ("all", "nDCG@10")
    }
    assert mean["trained"] > mean["untrained"] + 0.1
    again = loom.run(str(QUICKSTART))
    assert {entry["status"] for entry in again["stages"]} == {"cached"}
    assert again["metrics"] == first["metrics"]
    look_at_report(Path(first["report"]))


def look_at_report(report: Path) -> None:
    """See its page at the widths of a desk and of a phone, light and dark; sort a table, filter the examples."""
    check_layout(report, "quickstart")
    with opened(report) as browser:
        table = browser.locator("#results table").first
        table.get_by_role("button", name="trained", exact=True).click()
        values = table.locator("tbody tr td:nth-child(6)").all_text_contents()[:-1]
        assert len(values) == 3
        assert values == sorted(values, reverse=True)
        browser.select_option("[name=language]", "sw")
        cards = browser.locator("#cards article .facts").all_text_contents()
        assert cards
        assert all("Swahili" in text for text in cards)
