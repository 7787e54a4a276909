"""Running Promises as Prefect tasks: cached, built, refreshed, failed, damaged."""

import contextvars
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from support import loom
from support.loom import NumberConfig, double_numbers, fail, make_numbers, sum_numbers, train_numbers

import storage
from flows.configs import ResourcesConfig
from flows.run.execute import Execution
from flows.run.pipeline import Pipeline
from flows.run.stop import UNDER_WAY

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(180)]


@pytest.fixture(scope="module", autouse=True)
def api(prefect_api):
    with temporary_settings(
        {PREFECT_API_URL: prefect_api, PREFECT_LOGGING_LEVEL: "CRITICAL", PREFECT_LOGGING_TO_API_ENABLED: False}
    ):
        yield prefect_api


@pytest.fixture
def root(tmp_path):
    loom.CALLS.clear()
    return str(tmp_path / "store")


def pipeline(factor=2):
    numbers = {name: make_numbers(name, config=NumberConfig(values=(n,))) for n, name in enumerate(("en", "sw"), 1)}
    doubled = {name: double_numbers(name, numbers=promise, factor=factor) for name, promise in numbers.items()}
    return Pipeline.weave({"ingest": list(numbers.values()), "train": [sum_numbers(parts=doubled)]}, metrics=[])


def run(root, woven, refresh=()):
    @flow(name="test", persist_result=False)
    def execute():
        execution = Execution(woven, root, ResourcesConfig(), frozenset(refresh))
        execution.run()
        return [execution.results[str(one.ref(root))] for one in woven.promises]

    return execute()


def status(results):
    return [(result.step, result.partition, result.status) for result in results]


def said(caplog):
    """Return the run's own lines, without seconds."""
    lines = [record.getMessage() for record in caplog.records if record.name == "polyloom.run"]
    return [re.sub(r"\d+\.\d s\.$", "# s.", line) for line in lines]


def test_builds_then_takes_everything_from_the_store(root, caplog):
    caplog.set_level("INFO", "polyloom.run")
    assert {result.status for result in run(root, pipeline())} == {"built"}
    assert sorted(said(caplog)) == [
        "ingest made qrels of en: 1 row in # s.",
        "ingest made qrels of sw: 1 row in # s.",
        "train made qrels of en: 1 row in # s.",
        "train made qrels of sw: 1 row in # s.",
        "train made qrels: 1 row in # s.",
    ]
    caplog.clear()
    loom.CALLS.clear()
    assert {result.status for result in run(root, pipeline())} == {"cached"}
    assert loom.CALLS == []


def test_changed_setting_builds_only_what_depends_on_it(root):
    run(root, pipeline())
    assert status(run(root, pipeline(factor=3))) == [
        ("make_numbers", "en", "cached"),
        ("make_numbers", "sw", "cached"),
        ("double_numbers", "en", "built"),
        ("double_numbers", "sw", "built"),
        ("sum_numbers", "all", "built"),
    ]


def test_refresh_builds_the_named_and_leaves_the_rest_cached(root, caplog):
    run(root, pipeline())
    caplog.set_level("INFO", "polyloom.run")
    found = {(step, partition): state for step, partition, state in status(run(root, pipeline(), ["double_numbers"]))}
    assert found["double_numbers", "sw"] == "built"
    assert found["make_numbers", "sw"] == found["sum_numbers", "all"] == "cached"
    assert sorted(said(caplog)) == [
        "train made qrels of en again (refresh): 1 row in # s.",
        "train made qrels of sw again (refresh): 1 row in # s.",
    ]


def test_damaged_part_is_rebuilt_and_the_rest_stays_cached(root, caplog):
    woven = pipeline()
    run(root, woven)
    ref = woven.promises[0].ref(root)
    part = Path(ref.uri) / storage.load(ref).parts[0].name
    part.write_bytes(b"x" + part.read_bytes()[1:])
    caplog.set_level("INFO", "polyloom.run")
    results = run(root, pipeline())
    assert [result.status for result in results] == ["built", "cached", "cached", "cached", "cached"]
    assert str(part) in results[0].reason
    told, made = said(caplog)
    assert told.startswith("ingest makes qrels of en again: ")
    assert str(part) in told
    assert made == "ingest made qrels of en again (it was damaged): 1 row in # s."


def test_input_damaged_in_mid_run_is_rebuilt_by_a_stage_of_the_same_resource(root, monkeypatch):
    """Reader and producer both need the one share of the network: the reader has to give it back meanwhile."""
    producer = train_numbers("en")
    reader = train_numbers("en", numbers=producer)
    ref = producer.ref(root)
    before = run(root, Pipeline.weave({"ingest": [producer]}, metrics=[]))

    def damage_once():
        loom.BEFORE_READING.clear()
        part = Path(ref.uri) / storage.load(ref).parts[0].name
        part.write_bytes(b"x" + part.read_bytes()[1:])

    monkeypatch.setattr(loom, "BEFORE_READING", [damage_once])
    run(root, Pipeline.weave({"ingest": [producer], "train": [reader]}, metrics=[]))
    assert loom.CALLS == ["train_numbers"] * 4  # producer; reader, which met the damage; producer again; reader again
    assert storage.load(ref).content == before[0].content
    assert storage.read(reader.ref(root))["relevance"].to_list() == [1, 2]


def test_failure_stops_what_needs_it_and_names_the_cause(root):
    numbers = make_numbers("en", config=NumberConfig())
    broken = fail("en", numbers=numbers)
    woven = Pipeline.weave({"ingest": [numbers], "train": [sum_numbers(parts={"en": broken})]}, metrics=[])
    with pytest.raises(ValueError, match=r"fail: expected nothing, got \[1, 2\]"):
        run(root, woven)
    assert storage.find(numbers.ref(root)) is not None
    assert storage.find(broken.ref(root)) is None
    assert loom.CALLS == ["make_numbers"]


def test_failure_in_one_language_leaves_the_others_to_go_on_in_later_stages(root):
    numbers = {name: make_numbers(name, config=NumberConfig(values=(n,))) for n, name in enumerate(("en", "sw"), 1)}
    judged = {"en": fail("en", numbers=numbers["en"]), "sw": double_numbers("sw", numbers=numbers["sw"], factor=2)}
    kept = {name: double_numbers(name, numbers=one, factor=3) for name, one in judged.items()}
    total = sum_numbers(parts=kept)
    stages = {"ingest": numbers, "retrieve": judged, "denoise": kept, "train": {"all": total}}
    with pytest.raises(ValueError, match=r"fail: expected nothing, got \[1\]"):
        run(root, Pipeline.weave({stage: list(made.values()) for stage, made in stages.items()}, metrics=[]))
    assert storage.find(kept["sw"].ref(root)) is not None
    assert storage.find(total.ref(root)) is None


def test_runs_side_by_side_in_one_process_share_the_network(root, monkeypatch):
    running, seen = [], []

    def look():
        running.append(1)
        seen.append(len(running))
        time.sleep(0.3)
        running.pop()

    monkeypatch.setattr(loom, "BEFORE_READING", [look])
    numbers = [make_numbers("en", config=NumberConfig(values=(number,))) for number in range(3)]
    pipelines = [Pipeline.weave({"train": [train_numbers("en", numbers=one)]}, metrics=[]) for one in numbers]
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(contextvars.copy_context().run, run, root, one) for one in pipelines]
    assert [status(one.result())[-1] for one in runs] == [("train_numbers", "en", "built")] * 3
    assert seen == [1, 1, 1]
    assert UNDER_WAY == {}


def graph(flow_run_id):
    """Return a flow run's graph as the UI draws it: label -> labels that arrows come from; and the flow runs in it."""
    with get_client(sync_client=True) as client:
        nodes = [node for _, node in client._client.get(f"/flow_runs/{flow_run_id}/graph-v2").json()["nodes"]]
    labels = {node["id"]: node["label"] for node in nodes}
    arrows = {node["label"]: {labels[parent["id"]] for parent in node["parents"]} for node in nodes}
    return arrows, {node["label"]: node["id"] for node in nodes if node["kind"] == "flow-run"}


def wait_for_nodes(flow_run_id, number):
    deadline = time.monotonic() + 60
    while len(graph(flow_run_id)[0]) < number and time.monotonic() < deadline:
        time.sleep(0.5)  # the server takes task runs in a little later
    return graph(flow_run_id)


def test_graph_reads_like_the_table_of_contents_and_each_stage_opens(root):
    def execute(factor):
        @flow(name="test-states", persist_result=False)
        def stages():
            Execution(pipeline(factor), root, ResourcesConfig()).run()

        return wait_for_nodes(stages(return_state=True).state_details.flow_run_id, 2)

    arrows, opens = execute(2)
    ingest, train = "ingest / 2 of 2 datasets", "train / 3 of 3 datasets"
    assert arrows == {ingest: set(), train: {ingest}}
    steps, _ = wait_for_nodes(opens[train], 3)
    assert steps["sum_numbers-all"] == {"double_numbers-en", "double_numbers-sw"}
    assert set(wait_for_nodes(opens[ingest], 2)[0]) == {"make_numbers-en", "make_numbers-sw"}

    arrows, opens = execute(3)
    assert arrows == {"ingest": set(), "train / 3 of 3 datasets": {"ingest"}}
    assert list(opens) == ["train / 3 of 3 datasets"]

    arrows, opens = execute(3)
    assert (arrows, opens) == ({"ingest": set(), "train": {"ingest"}}, {})


def test_prefect_shows_what_is_cached_in_a_stage_and_of_a_whole_one(root):
    run(root, pipeline())
    woven = pipeline(factor=3)
    half = Pipeline.weave({"train": [woven.promises[0], *woven.promises[2:]]}, metrics=[])

    @flow(name="test-cached", persist_result=False)
    def execute():
        Execution(half, root, ResourcesConfig()).run()

    state = execute(return_state=True)
    _, opens = wait_for_nodes(state.state_details.flow_run_id, 1)
    (stage,) = opens.values()
    wait_for_nodes(stage, 5)
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[stage]))
    with get_client(sync_client=True) as client:
        runs = {one.name: one.state_name for one in client.read_task_runs(flow_run_filter=wanted)}
    assert runs == {
        "make_numbers-en": "Cached",
        "make_numbers-sw": "Cached",
        **dict.fromkeys(["double_numbers-en", "double_numbers-sw", "sum_numbers-all"], "Completed"),
    }
