"""Ctrl-C, SIGTERM and the UI's Cancel: one line, within seconds, in every stage; and the same command goes on."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling
from support.command import REPOSITORY
from support.llm_server import LlmServer
from support.stopping import check_stop, stop

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(900)]


def appears(folder: Path, patterns):
    """Say whether something matches now that did not when this was called."""
    matches = lambda: {found for pattern in patterns for found in folder.glob(pattern)}  # noqa: E731
    before = matches()
    return lambda: bool(matches() - before)


def is_there(folder: Path, pattern: str):
    return lambda: any(folder.glob(pattern))


# not those of stages; the API lists two hundred at most
STOPPED = {"flow_runs": {"state": {"name": {"any_": ["Cancelled"]}}}}
WHOLE = {"flow_runs": {"parent_task_run_id": {"is_null_": True}, "state": {"name": {"any_": ["Cancelled"]}}}}


def states(api, kind, wanted):
    body = json.dumps(wanted).encode()
    request = urllib.request.Request(f"{api}/{kind}/filter", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return [entry["state_name"] for entry in json.load(answer)]


def test_stopped_in_every_stage_ends_like_an_undisturbed_run(built, make_tiny, prefect_api, tmp_path):
    loom = make_tiny(tmp_path)
    before = states(prefect_api, "flow_runs", WHOLE).count("Cancelled")
    checkpoints = "training_log/*/*/scratch/work/*/checkpoints/*"
    moments = [  # of each: what appears; tiny steps may be over while an earlier signal takes its second
        (signal.SIGINT, ["corpus/*/*"], "in|at"),
        (signal.SIGTERM, ["candidates/*/*"], "retrieve_bm25"),
        (signal.SIGINT, ["embeddings/*/*/progress/*.json"], "embed_documents"),
        (signal.SIGTERM, ["raw_scores/*/*", "scores/*/*", "hard_negatives/*/*"], "in|at"),
        (signal.SIGINT, ["batch_plan/*/*", "tokens/*/*", "training_log/*/*"], "in|at"),
        (signal.SIGTERM, ["training_log/*/*", checkpoints], "train_encoder"),
        (signal.SIGINT, [checkpoints], r"\d+ of \d+ steps of train_encoder-all"),
        (signal.SIGTERM, ["training_log/*/*/manifest.json"], "in|at"),
    ]
    for number, patterns, where in moments:
        there = appears(tmp_path / "data", patterns)
        stopped = stop(
            ["-m", "flows", "run", "tiny.yaml"], number, there, folder=tmp_path, environment=loom.environment
        )
        check_stop(stopped, number, where)
    assert states(prefect_api, "flow_runs", WHOLE).count("Cancelled") == before + len(moments)
    assert "Running" not in states(prefect_api, "task_runs", STOPPED)  # killed runs of other tests have some
    found = {(e["kind"], e["partition"], e["fingerprint"]): e["content"] for e in loom.run("tiny.yaml")["stages"]}
    assert found == {(e["kind"], e["partition"], e["fingerprint"]): e["content"] for e in built[1]["stages"]}


JUDGE = ["denoise.judge=llm", "denoise.llm.chat.model=slow", "denoise.llm.chat.base_url="]
SUPPLEMENT = [
    *("supplement.enabled=true", "supplement.negatives_each=30", "supplement.chat.model=slow"),
    "supplement.chat.base_url=",
]


@pytest.mark.parametrize(("settings", "where"), [(JUDGE, "judge_pairs"), (SUPPLEMENT, "in|at")])
def test_waiting_for_an_llm_is_no_reason_to_wait(built, settings, where):
    loom = built[0]
    with LlmServer(fault=lambda user, before: "slow").serving() as server:
        server.slow_seconds = 300.0
        given = [*settings[:-1], settings[-1] + server.url]
        command = ["-m", "flows", "run", "tiny.yaml", *(part for one in given for part in ("--set", one))]
        there = lambda: server.calls > 0  # noqa: E731
        stopped = stop(command, signal.SIGINT, there, folder=loom.folder, environment=loom.environment)
        check_stop(stopped, signal.SIGINT, where)


def test_ctrl_c_in_the_terminal_is_told_to_the_server_before_it_ends(make_tiny, tmp_path):
    loom = make_tiny(tmp_path)
    environment = {name: value for name, value in loom.environment.items() if name != "PREFECT_API_URL"}
    there = is_there(tmp_path, "data/embeddings/*/*/progress/*.json")
    command = ["-m", "flows", "run", "tiny.yaml"]
    stopped = stop(command, signal.SIGINT, there, folder=tmp_path, environment=environment, as_terminal=True)
    check_stop(stopped, signal.SIGINT, "embed_documents")
    with sqlite3.connect(tmp_path / "prefect" / "prefect.db") as database:
        ends = database.execute("select flow.name, state_name from flow_run join flow on flow.id = flow_id").fetchall()
    assert sorted(ends) == [("ingest", "Completed"), ("retrieve", "Cancelled"), ("train_retriever", "Cancelled")]


def test_cancel_in_the_ui_stops_the_worker_s_run(make_tiny, prefect_api, tmp_path):
    loom = make_tiny(tmp_path)
    prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
    for call in (["work-pool", "create", "polyloom", "--type", "process", "--overwrite"], ["deploy", "--all"]):
        subprocess.run([*prefect, *call], cwd=REPOSITORY, env=loom.environment, check=True, capture_output=True)
    config = yaml.safe_load((tmp_path / "tiny.yaml").read_text(encoding="utf-8"))
    config |= {"storage": {"root": str(tmp_path / "data")}, "encoder": {"model": str(tmp_path / "model")}}
    file = tmp_path / "form.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    environment = {**loom.environment, "PREFECT_WORKER_QUERY_SECONDS": "1", "POLYLOOM_ROOTS": str(tmp_path)}
    command = [*prefect, "worker", "start", "--pool", "polyloom"]
    log = tmp_path / "worker.log"
    with (
        log.open("wb") as said,
        temporary_settings({PREFECT_API_URL: prefect_api}),
        get_client(sync_client=True) as client,
        subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=said, stderr=said) as worker,
    ):
        try:
            deployment = client.read_deployment_by_name("train_retriever/pipeline")
            run = client.create_flow_run_from_deployment(deployment.id, parameters={"path": str(file)})
            there = is_there(tmp_path, "data/embeddings/*/*/progress/*.json")
            while not there():
                assert not client.read_flow_run(run.id).state.is_final(), log.read_text()
                assert worker.poll() is None, log.read_text()
                time.sleep(0.1)
            client.set_flow_run_state(run.id, Cancelling(), force=True)
            while not (state := client.read_flow_run(run.id).state).is_final():
                time.sleep(0.1)
            assert state.name == "Cancelled", log.read_text()
            while "Cancelled flow run" not in log.read_text() and "Completed submission" not in log.read_text():
                time.sleep(0.1)
        finally:
            worker.terminate()
        assert client.read_flow_run(run.id).state.name == "Cancelled"  # the worker has not said otherwise afterwards
    assert "polyloom: stopped" in log.read_text()
