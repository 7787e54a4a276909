"""Several runs of one configuration at once on one store: all end well, and nothing is made or asked twice."""

import json
import os
from collections import Counter

import pytest
from support.llm_server import LlmServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.prefect,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        "POLYLOOM_LONG" not in os.environ,
        reason="eight whole runs take minutes: set POLYLOOM_LONG=1 (tests/engine/test_several_processes.py is short)",
    ),
]

NUM_RUNS = 4


def run_at_once(loom, *command):
    """Start the same command several times; return what each run says of each of its datasets, and all outputs."""
    files = [loom.folder / f"run-{number}.json" for number in range(NUM_RUNS)]
    processes = [loom.start("run", *command, "--json", str(file)) for file in files]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * NUM_RUNS, outputs
    return [json.loads(file.read_text(encoding="utf-8"))["stages"] for file in files], "".join(outputs)


def name(entry):
    return entry["kind"], entry["partition"], entry["fingerprint"]


def contents(stages):
    return {name(entry): entry["content"] for entry in stages}


def test_four_runs_at_once_build_each_dataset_once_and_ask_each_question_once(make_tiny, tmp_path):
    loom = make_tiny(tmp_path)
    loom.environment["PREFECT_HOME"] = str(tmp_path / "home")
    del loom.environment["PREFECT_API_URL"]  # so that each run has a server of its own, on one database
    with LlmServer().serving() as server:
        settings = ["denoise.judge=cascade", "denoise.band=[0.05,0.5]", "denoise.llm.num_samples=2"]
        settings += ["denoise.llm.chat.model=scripted", f"denoise.llm.chat.base_url={server.url}"]
        command = ["tiny.yaml", *[part for one in settings for part in ("--set", one)]]

        fresh, told = run_at_once(loom, *command)
        built = Counter(name(entry) for stages in fresh for entry in stages if entry["status"] == "built")
        assert set(built) == set(contents(fresh[0]))
        assert set(built.values()) == {1}
        assert "waiting for another run that builds" in told

        again, _ = run_at_once(loom, *command, "--refresh", "denoise")
        refreshed = {name(entry) for entry in again[0] if entry["stage"] == "denoise"}
        rebuilt = Counter(name(entry) for stages in again for entry in stages if entry["status"] == "built")
        assert set(rebuilt) == refreshed
        assert max(rebuilt.values()) <= NUM_RUNS  # once for each run that began after the others' refresh
        assert len({frozenset(contents(stages).items()) for stages in [*fresh, *again]}) == 1
        assert len(server.asked) > 50
        assert set(server.asked.values()) == {1}
    assert not list((tmp_path / "data").glob("*/*/*/scratch"))
    assert not list((tmp_path / "data").glob("**/.tmp-*"))
