"""The bake-off: every strategy over one stored score table, without a model; the command and what it shows."""

import io
import json
import re
import urllib.request
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console
from support.in_process import counted_calls

from flows.show.bake_off_table import by_strategy, dropped_table, kept_table
from flows.weave import weave
from flows.weave_bake_off import STRATEGIES, check_scores, weave_bake_off
from storage import inspect, read, runs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def rows(woven):
    """Build the bake-off of the tiny pipeline, and see that no network runs."""
    pipeline = weave_bake_off(woven.settings(), STRATEGIES)
    with counted_calls() as calls:
        check_scores(pipeline, str(woven.folder / "data"))
        built = woven.build(pipeline)
    assert calls == []
    assert {promise.step.produces for promise in built} <= {"hard_negatives", "bake_off"}
    return inspect.rows(pipeline.promises[-1].ref(str(woven.folder / "data")))


def test_bake_off_counts_what_the_ledgers_hold(woven, rows):
    found = by_strategy(rows)
    assert set(found) == {(strategy, language) for strategy in STRATEGIES for language in ("en", "sw", "all")}
    root = str(woven.folder / "data")
    for strategy in STRATEGIES:
        promises = weave(woven.settings(f"denoise.strategy={strategy}")).until("denoise").promises
        ledger = next(
            read(promise.ref(root))
            for promise in promises
            if (promise.step.produces, promise.partition) == ("hard_negatives", "sw")
        )
        assert found[strategy, "sw"]["kept"] == ledger.filter(pl.col("decision") == "kept").height
        assert found[strategy, "sw"]["candidates"] == ledger.height


def test_naive_finds_no_planted_false_negative_and_keeps_them_all(rows):
    naive = by_strategy(rows)["naive", "all"]
    assert naive["planted"] > 10
    assert naive["planted_kept"] == naive["planted"]
    assert (naive["recall"], naive["planted_found"]) == (0, 0)


def test_tables_say_why_candidates_are_dropped(rows):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(kept_table(rows, "probability"), dropped_table(rows))
    text = console.export_text()
    for word in ("precision", "negatives", "within", "above max", "judged", *STRATEGIES):
        assert word in text
    for strategy in STRATEGIES:  # whole, in each language's lines of both tables
        assert len(re.findall(rf"^ *(?:en|sw|all)? *{strategy} +\d", text, re.MULTILINE)) == 6
    assert max(map(len, text.splitlines())) <= 80


def test_bake_off_wants_stored_scores(woven, tmp_path):
    settings = woven.settings(f"storage.root={tmp_path}")
    with pytest.raises(FileNotFoundError, match="expected stored scores, got none: corpus/en.* is not built"):
        check_scores(weave_bake_off(settings, STRATEGIES), str(tmp_path))


def test_bake_off_rejects_unknown_strategy(woven):
    with pytest.raises(ValueError, match=r"expected strategies of naive, .* got 'random'"):
        weave_bake_off(woven.settings(), ["naive", "random"])


@pytest.mark.prefect
def test_command_builds_ledgers_once_and_leaves_an_artifact(built, prefect_api):
    loom, _ = built
    output = loom("bake-off", "tiny.yaml", "--strategy", "grade", "--strategy", "shifted", "--json", "bake_off.json")
    assert "shifted" in output
    assert "naive" not in output
    answer = json.loads((loom.folder / "bake_off.json").read_text())
    assert {row["strategy"] for row in answer["bake_off"]} == {"grade", "shifted"}
    made = {entry["kind"] for entry in answer["stages"] if entry["status"] == "built"}
    assert made == {"hard_negatives", "bake_off"}
    request = urllib.request.Request(
        f"{prefect_api}/artifacts/filter",
        json.dumps({"artifacts": {"key": {"any_": ["bake-off"]}}}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        tables = [json.loads(found["data"]) for found in json.load(reply)]
    told = [{(row["strategy"], row["language"]) for row in table} for table in tables]  # perhaps other tests', too
    assert any(one >= {("shifted", "sw"), ("grade", "all")} for one in told)
    root = str(loom.folder / "data")
    run = next(one for one in runs.newest_first(root) if one.flow == "bake_off")
    page = Path(loom("report", run.id).removeprefix("Report: ").strip())
    html = (loom.folder / page).read_text()
    assert "<h1>2 strategies over one table of scores.</h1>" in html
    assert html.count("<td>shifted</td>") == 6  # two tables, each of en, sw and all
