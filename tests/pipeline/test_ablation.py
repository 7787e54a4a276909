"""An ablation on the tiny pipeline: what variants share is built once, and the table compares them."""

import json
import urllib.request
from pathlib import Path

import pytest
import yaml

from storage import runs

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(400)]

ABLATION = {
    "config": "tiny.yaml",
    "seeds": [13],
    "seed_settings": ["plan_batches.seed"],
    "reference": "full",
    "variants": {
        "full": [],
        "w/o same language": ["plan_batches.same_language=false"],
        "w/o topic balance": ["plan_batches.topic_balance=false"],
    },
}


def datasets(folder: Path, kind: str) -> int:
    return len(list((folder / "data" / kind).glob("*/*/manifest.json")))


def test_ablation_builds_what_variants_share_once_and_compares_them(built, prefect_api):
    loom, first = built
    (loom.folder / "ablation.yaml").write_text(yaml.safe_dump(ABLATION))
    before = {kind: datasets(loom.folder, kind) for kind in ("embeddings", "hard_negatives", "training_log")}
    output = loom("ablation", "ablation.yaml", "--json", "ablation.json")
    said = " ".join(output.split())
    for name in ("w/o same language", "w/o topic balance"):
        assert f"{name}, seed 13: train made training_log: " in said
    # The tiny pipeline's own seed is 13: `full` is in the store, and each other variant adds its plan and training.
    assert datasets(loom.folder, "hard_negatives") == before["hard_negatives"]
    assert datasets(loom.folder, "training_log") == before["training_log"] + 2
    answer = json.loads((loom.folder / "ablation.json").read_text())
    full = next(
        row
        for row in first["metrics"]
        if (row["system"], row["language"], row["metric"]) == ("trained", "all", "nDCG@10")
    )
    table = {row["variant"]: row for row in answer["comparison"] if row["metric"] == "nDCG@10"}
    assert table["full"]["mean"] == pytest.approx(full["value"])
    for name in ("w/o same language", "w/o topic balance"):
        assert name in output
        assert table[name]["difference"] == pytest.approx(table[name]["mean"] - table["full"]["mean"])
    assert {row["variant"] for row in answer["means"]} == set(ABLATION["variants"])
    assert "p held against all of this table" in output
    with urllib.request.urlopen(f"{prefect_api}/artifacts/ablation/latest", timeout=30) as artifact:
        shown = json.loads(artifact.read())["data"].splitlines()
    assert "| metric | variant | seeds |" in shown[2]
    assert [f"| {name} |" in line for name, line in zip(ABLATION["variants"], shown[4:7], strict=True)] == [True] * 3
    found = [run for run in runs.runs(str(loom.folder / "data")) if run.variant]
    assert len(found) == len(ABLATION["variants"])  # where there is an API, what is cached runs, too
    for run in found:
        assert loom("report", run.id) == f"Report: {run.report}\n"
    page = (loom.folder / "data/reports/ablation.html").read_text()
    assert all(f"<td>{name}</td>" in page for name in ABLATION["variants"])
    assert loom("ablation", "ablation.yaml", "--json", "again.json")
    assert json.loads((loom.folder / "again.json").read_text()) == answer
    assert datasets(loom.folder, "training_log") == before["training_log"] + 2


def test_wrong_variant_ends_in_one_clear_line(built):
    loom, _ = built
    (loom.folder / "ablation.yaml").write_text(yaml.safe_dump(ABLATION))
    output = loom("ablation", "ablation.yaml", "--variant", "better", code=1)
    assert "--variant: expected one of full" in output
    assert "Traceback" not in output
