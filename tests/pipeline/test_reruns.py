"""The promise of the project: after a change, exactly what depends on it is built."""

import base64
import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(400)]


def kinds(answer, status="built"):
    return {entry["kind"] for entry in answer["stages"] if entry["status"] == status}


def stages(answer, status="built"):
    return {entry["stage"] for entry in answer["stages"] if entry["status"] == status}


def test_first_run_builds_every_stage_and_measures_three_systems(built):
    _, answer = built
    assert kinds(answer, "cached") == set()
    assert stages(answer) == {"ingest", "retrieve", "denoise", "plan_batches", "train", "evaluate", "export"}
    found = {(row["system"], row["language"], row["metric"]) for row in answer["metrics"]}
    expected = {
        (system, language, metric)
        for system in ("bm25", "untrained", "trained")
        for language in ("en", "sw", "all")
        for metric in ("nDCG@10", "R@100")
    }
    assert found == expected
    assert all(0 <= row["value"] <= 1 for row in answer["metrics"])


def test_mean_is_the_plain_mean_over_languages(built):
    values = {(row["system"], row["language"], row["metric"]): row["value"] for row in built[1]["metrics"]}
    for system in ("bm25", "untrained", "trained"):
        mean = (values[system, "en", "nDCG@10"] + values[system, "sw", "nDCG@10"]) / 2
        assert values[system, "all", "nDCG@10"] == pytest.approx(mean)


def test_second_run_is_cached_and_loads_no_model_and_no_prefect(built):
    loom, first = built
    environment = {name: value for name, value in loom.environment.items() if not name.startswith("PREFECT_API")}
    command = [sys.executable, "-X", "importtime", "-m", "flows", "run", "tiny.yaml", "--json", "again.json"]
    done = subprocess.run(command, cwd=loom.folder, env=environment, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert not imported & {"torch", "transformers", "prefect", "faiss", "pyserini", "sklearn"}
    assert "polars" in imported
    again = loom.folder / "again.json"
    assert '"built"' not in again.read_text()
    assert again.read_text().count('"cached"') == 2 * len(first["stages"])  # status and reason of each


def test_cached_run_is_recorded_where_a_prefect_api_is_set_up(built):
    loom, _ = built
    assert kinds(loom.run("tiny.yaml")) == set()


def test_changed_plan_seed_builds_plan_training_and_evaluation_of_the_trained(built):
    loom, first = built
    answer = loom.run("tiny.yaml", "--set", "plan_batches.seed=7")
    assert stages(answer) == {"plan_batches", "train", "evaluate", "export"}
    assert kinds(answer) == {"batch_plan", "training_log", "embeddings", "candidates", "run", "metrics", "model"}
    assert {entry["kind"] for entry in answer["stages"] if entry["stage"] == "plan_batches"} == {"topics", "batch_plan"}
    before = {row["system"]: row["value"] for row in first["metrics"] if row["language"] == "all"}
    after = {row["system"]: row["value"] for row in answer["metrics"] if row["language"] == "all"}
    assert (after["bm25"], after["untrained"]) == (before["bm25"], before["untrained"])
    metrics = [entry["status"] for entry in answer["stages"] if entry["kind"] == "metrics"]
    assert sorted(metrics) == ["built", "cached", "cached"]


def test_changed_threshold_computes_no_score_again_before_training(built):
    loom, _ = built
    answer = loom.run("tiny.yaml", "--set", "denoise.max_probability=0.05")
    names = [entry["kind"] for entry in answer["stages"]]
    before_training = answer["stages"][: names.index("training_log")]
    assert {entry["kind"] for entry in before_training if entry["status"] == "built"} == {
        "hard_negatives",
        "batch_plan",
    }


def test_added_language_leaves_the_other_languages_cached(built):
    loom, _ = built
    answer = loom.run("tiny.yaml", "--set", "languages=[en,sw,fi]", "--until", "retrieve")
    assert {entry["partition"] for entry in answer["stages"] if entry["status"] == "built"} == {"fi"}


def test_corrupted_byte_is_reported_with_its_path_and_rebuilt(built):
    loom, first = built
    entry = next(entry for entry in first["stages"] if entry["kind"] == "fused" and entry["partition"] == "sw")
    part = next((loom.folder / "data" / "fused" / "sw" / entry["fingerprint"]).glob("part-*.parquet"))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(bytes(content))
    output = loom("run", "tiny.yaml", "--json", "run.json")
    assert part.name in output.replace("\n", "").replace(" ", "")
    again = loom.run("tiny.yaml")
    assert kinds(again) == set()
    assert {e["content"] for e in again["stages"]} == {e["content"] for e in first["stages"]}


def test_plan_says_what_would_be_built_and_runs_nothing(built):
    loom, _ = built
    output = loom("plan", "tiny.yaml", "--set", "plan_batches.seed=99")
    assert "plan_batches.seed 13 → 99" in output
    assert "0 of" in loom("plan", "tiny.yaml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "batch_plan", "--head", "2"], ["query_id", "negatives"]),
        (["show", "hard_negatives/sw", "--schema"], ["decision", "seconds", "peak_memory_bytes"]),
        (["show", "hard_negatives/sw", "--lineage"], ["raw_scores", "corpus", "generate_corpus"]),
        (["show", "qrels/en", "--sql", "SELECT COUNT(*) AS judgements FROM qrels"], ["judgements"]),
        (["ls", "metrics"], ["metrics/all/", "\t"]),
    ],
)
def test_looks_into_datasets(built, arguments, words):
    output = built[0](*arguments)
    for word in words:
        assert word in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nothing.yaml"], "expected a YAML file, got none"),
        (["run", "tiny.yaml", "--set", "train.rate=1"], "train.rate: there is no such setting"),
        (["run", "tiny.yaml", "--set", "languages=[en,xx]"], "languages.1: language: expected a language's BCP 47 tag"),
        (["run", "tiny.yaml", "--until", "dinner"], "expected one of ingest, retrieve"),
        (["show", "corpus/fr"], "found none"),
        (["show", "qrels", "--sql", "SELECT nothing FROM qrels"], "--sql: expected a query"),
    ],
)
def test_wrong_input_ends_in_one_clear_line(built, arguments, message):
    output = built[0](*arguments, code=1)
    assert message in output
    assert "Traceback" not in output


def test_relative_root_is_kept_by_dataset_paths(built):
    loom, first = built
    entry = first["stages"][0]
    assert Path(loom.folder, "data", entry["kind"], entry["partition"], entry["fingerprint"], "manifest.json").is_file()
    assert os.listdir(loom.folder / "data")


def test_each_stage_leaves_its_tables_and_pictures(built, prefect_api):
    names = {"datasets", "funnel", "scores", "shares", "training", "metrics-ndcg-10"}
    request = urllib.request.Request(
        f"{prefect_api}/artifacts/filter",
        json.dumps({"artifacts": {"key": {"any_": sorted(names)}}}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found = json.load(answer)
    runs: dict[str, dict[str, Any]] = {}  # of stages; the server is other tests' too
    for one in found:
        runs.setdefault(one["flow_run_id"], {})[one["key"]] = one["data"]
    assert set().union(*runs.values()) == names
    tables = {
        name: [json.loads(kept[name]) for kept in runs.values() if name in kept]
        for name in names - {"scores", "training"}
    }
    for name in ("scores", "training"):
        pictures = [kept[name] for kept in runs.values() if name in kept]
        drawn = base64.b64decode(pictures[0].removeprefix("data:image/svg+xml;base64,")).decode()
        assert ElementTree.fromstring(drawn).findall(".//{http://www.w3.org/2000/svg}polyline")
        assert all("datasets" in kept for kept in runs.values() if name in kept)
    metrics = next(one for one in tables["metrics-ndcg-10"] if [row["language"] for row in one] == ["en", "sw", "all"])
    assert {"bm25", "untrained", "trained"} < set(metrics[0])
    ledger = next(row for one in tables["datasets"] for row in one if row["dataset"].startswith("hard_negatives/sw"))
    assert "scores/sw" in ledger["made from"]
    assert all(0 <= row["kept"] <= row["candidates"] for one in tables["funnel"] for row in one)
    planned = next(one for one in tables["shares"] if {"en", "sw"} <= {row["name"] for row in one})
    shares = {(row["by"], row["name"]): row for row in planned}
    languages = [shares["language", name] for name in ("en", "sw")]
    assert sum(row["share_before"] for row in languages) == pytest.approx(1, abs=1e-3)
    assert sum(row["share_planned"] for row in languages) == pytest.approx(1, abs=1e-3)
    assert all(1 <= row["topics_per_batch"] <= row["topics_possible"] for row in languages)
    assert sum(row["num_slots"] for row in languages) == sum(
        row["num_slots"] for (by, _), row in shares.items() if by == "topic"
    )


README_COMMANDS = re.findall(
    r"^\.venv/bin/polyloom ((?:ls|show).*)$",
    (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


@pytest.mark.parametrize("command", README_COMMANDS)
def test_readmes_commands_for_looking_work(built, command):
    assert built[0](*shlex.split(command, comments=True))


def test_readme_shows_how_to_look():
    assert len(README_COMMANDS) >= 4
