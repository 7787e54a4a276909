"""The gate in whole runs: model/latest, what the run says of it, and a notification block with a real receiver."""

import json
import re
import shutil
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from storage import latest

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(500)]


@pytest.fixture
def receiver():
    """Serve a webhook; yields its URL, what it has got, and a function that ends it."""
    taken = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def end():
        server.shutdown()
        server.server_close()
        thread.join()

    yield f"http://127.0.0.1:{server.server_address[1]}/", taken, end
    if thread.is_alive():
        end()


@pytest.fixture
def loom(built, make_tiny, tmp_path, prefect_api, receiver):
    """Return the command with the built store, and Prefect with the block `custom-webhook/nightly`."""
    loom = make_tiny(tmp_path)
    shutil.copytree(built[0].folder / "data", tmp_path / "data")
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        block = CustomWebhookNotificationBlock(
            name="nightly", url=receiver[0], json_data={"title": "{{subject}}", "text": "{{body}}"}
        )
        block.save("nightly", overwrite=True)
    return loom


def test_a_run_says_which_model_won_and_tells_the_block(loom, receiver, built, prefect_api):
    _, taken, end = receiver
    root = str(loom.folder / "data")
    first = latest.read(root, "tiny")
    assert any("the first of tiny" in note for note in built[1]["notes"])
    assert "model/latest" in loom("runs")

    asked = ("tiny.yaml", "--set", "name=night", "--set", "export.notify=custom-webhook/nightly")
    answer = loom.run(*asked)  # another name: its card alone is made again
    told = "model/latest is this run's model: the first of night."
    assert told in answer["notes"]
    assert taken == [{"title": "polyloom night: a new model", "text": told}]
    found = latest.read(root, "night")
    assert found.run != first.run
    assert re.fullmatch(
        rf"1 of \d+ datasets built, \d+ were in the store; {re.escape(told)}", state_message(prefect_api)
    )
    loom.run(*asked)  # it is that one already: nobody is told
    assert len(taken) == 1

    latest.write(root, found.model_copy(update={"model": first.model, "run": first.run, "metrics": "metrics/all/gone"}))
    answer = loom.run(*asked)
    assert f"model/latest is still run {first.run}'s model" in taken[1]["text"]
    assert taken[1]["title"] == "polyloom night: no new model"
    assert taken[1]["text"] in answer["notes"]
    loom("export", "tiny.yaml", "--set", "name=night", "--latest", "--to", "model-of-tiny")
    assert "tiny" in (loom.folder / "model-of-tiny" / "README.md").read_text()

    assert f"night: run {found.run}" in loom("latest", found.run)
    assert latest.read(root, "night").why == "chosen by hand"
    latest.uri(root, "night")
    (loom.folder / "data" / "model" / "latest" / "night.json").unlink()
    end()
    answer = loom.run(*asked)  # the receiver is down: the run ends well, and says so
    assert told in answer["notes"]
    assert len(taken) == 2


def test_cached_run_without_a_server_asks_prefect_only_where_someone_is_to_be_told(loom):
    """Prefect's home has a folder where its lock is to be, so whatever starts Prefect ends there."""
    (loom.folder / "home" / "polyloom.lock").mkdir(parents=True)
    alone = replace(loom, environment={**loom.environment, "PREFECT_HOME": str(loom.folder / "home")})
    del alone.environment["PREFECT_API_URL"]
    asked = ("run", "tiny.yaml", "--set", "export.notify=custom-webhook/nightly")
    alone(*asked)  # its model is the one to use already
    (loom.folder / "data" / "model" / "latest" / "tiny.json").unlink()
    assert "polyloom.lock" in alone(*asked, code=1)
    assert latest.read(str(loom.folder / "data"), "tiny") is None
    alone("run", "tiny.yaml")  # nobody to tell
    assert latest.read(str(loom.folder / "data"), "tiny").why == "the first of tiny"


def state_message(url):
    """Return the message of the newest flow run's final state."""
    with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
        runs = client.read_flow_runs(limit=200)
    return max((run for run in runs if run.end_time), key=lambda run: run.end_time).state.message


def test_a_block_that_is_not_there_ends_the_run_at_once(loom):
    text = loom("run", "tiny.yaml", "--set", "export.notify=custom-webhook/nobody", code=1)
    assert "export.notify: expected a block that Prefect has, got 'custom-webhook/nobody'" in text
    text = loom("run", "tiny.yaml", "--set", "export.notify=http://127.0.0.1/", code=1)
    assert "export.notify" in text
