"""The server of docker-compose.yml, and a run's own: strangers' pages and requests without login get nothing."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import psutil
import pytest
import websockets.exceptions
from playwright.sync_api import sync_playwright
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from support.command import REPOSITORY
from support.prefect_server import compose_environment, free_port, prefect_server
from websockets.sync.client import connect

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(480)]

LOGIN = "operator:p@ss:w/rd#%"
FOREIGN = "http://evil.example"
NOBODY = "00000000-0000-0000-0000-000000000000"
_GUARDED = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "PREFECT_SERVER_UI_API_URL")


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """Start a server with what docker-compose.yml says of logins and origins; return its API's URL."""
    port = free_port()
    values = {"PREFECT_SERVER_API_AUTH_STRING": LOGIN, "POLYLOOM_PORT": str(port), "POSTGRES_PASSWORD": "unused"}
    environment = compose_environment("server", values)
    home = tmp_path_factory.mktemp("locked")
    guarded = {name: environment[name] for name in _GUARDED}
    with prefect_server(home, port=port, PREFECT_SERVER_UI_STATIC_DIRECTORY=str(home / "ui"), **guarded) as url:
        yield url


def user():
    name, _, password = LOGIN.partition(":")
    return httpx.BasicAuth(name, password)


def flow_names(api):
    return {flow["name"] for flow in httpx.post(f"{api}/flows/filter", json={}, auth=user()).json()}


def test_only_its_own_pages_may_call_it(api):
    own = api.removesuffix("/api")
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    assert httpx.options(f"{api}/flows/", headers={"Origin": own, **asked}).status_code == 200
    for origin in (FOREIGN, "null", f"{own}.evil.example", own.replace("http:", "https:")):
        answer = httpx.options(f"{api}/flows/", headers={"Origin": origin, **asked})
        assert answer.status_code == 400
        assert "access-control-allow-origin" not in answer.headers
        read = httpx.post(f"{api}/flows/filter", json={}, headers={"Origin": origin}, auth=user())
        assert "access-control-allow-origin" not in read.headers


def test_request_that_no_browser_asks_about_makes_nothing(api):
    """Without a content type the server takes a body for JSON, and a page may send that to anyone without asking."""
    for headers in ({}, {"Content-Type": "text/plain"}):
        answer = httpx.post(f"{api}/flows/", content=b'{"name": "planted"}', headers={"Origin": FOREIGN, **headers})
        assert answer.status_code == 401
    assert "planted" not in flow_names(api)


def test_every_route_asks_for_the_login(api):
    paths = httpx.get(f"{api.removesuffix('/api')}/openapi.json", timeout=120).json()["paths"]
    answers = {}
    with httpx.Client(base_url=api) as client:
        for path, methods in paths.items():
            place = re.sub(r"\{[^}]*\}", NOBODY, path)
            for method in methods:
                for credentials in (None, httpx.BasicAuth("operator", "guess")):
                    answers[method, path] = client.request(method, place, json={}, auth=credentials).status_code
    assert len(answers) > 150
    assert {place for place, status in answers.items() if status != 401} == {("get", "/health"), ("get", "/ready")}


def test_sockets_ask_for_the_login(api):
    for path in ("/events/in", "/events/out", "/logs/out", "/task_runs/subscriptions/scheduled"):
        url = f"{api.replace('http:', 'ws:')}{path}"
        with pytest.raises(websockets.exceptions.InvalidStatus), connect(url):  # no subprotocol, so no login follows
            pass
        with connect(url, subprotocols=["prefect"]) as socket:
            socket.send(json.dumps({"type": "auth", "token": "operator:guess"}))
            with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
                socket.recv(10)
        assert closed.value.rcvd.code == 1008


def test_name_that_was_rebound_to_this_machine_brings_no_login(api):
    """Prefect looks at no Host header; what stops a rebound name is that a page under it has no login to send."""
    for path in ("/flows/filter", "/deployments/filter"):
        assert httpx.post(api + path, json={}, headers={"Host": "evil.example"}).status_code == 401


def test_client_with_the_login_works(api):
    with (
        temporary_settings({PREFECT_API_URL: api, PREFECT_API_AUTH_STRING: LOGIN}),
        get_client(sync_client=True) as client,
    ):
        assert client.create_flow_from_name("own")
    assert "own" in flow_names(api)


PAGE = """<script>
const api = %r, body = new Blob(['{"name": "planted"}']);
const tries = [
  () => fetch(api + '/flows/filter', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'}),
  () => fetch(api + '/flows/', {method: 'POST', body}),
  () => fetch(api + '/flows/', {method: 'POST', mode: 'no-cors', credentials: 'include', body}),
  () => fetch(api + '/admin/version'),
];
Promise.all(tries.map(one => one().then(a => a.type === 'opaque' ? 'opaque' : a.status, e => 'refused')))
  .then(said => { document.title = said.join(' '); });
</script>"""


@contextlib.contextmanager
def page_of_a_stranger(api):
    """Serve the page from another port, which is another origin."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write((PAGE % api).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture
def browser():
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("a browser: expected Chromium on the PATH, found none. Install it.")
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield found
        found.close()


def test_browser_keeps_a_strangers_page_out_and_lets_the_user_in(api, browser):
    context = browser.new_context()
    own = context.new_page()
    own.goto(api.removesuffix("/api"), timeout=60_000)
    field = own.locator("input[type=password]")
    field.wait_for(timeout=60_000)
    field.fill(LOGIN)
    with own.expect_response(lambda answer: "/api/" in answer.url and answer.status == 200, timeout=60_000):
        field.press("Enter")
    stranger = context.new_page()  # in the same browser, where the user is logged in
    with page_of_a_stranger(api) as url:
        stranger.goto(url)
        stranger.wait_for_function("document.title !== ''", timeout=30_000)
        assert stranger.title() == "refused refused opaque refused"
    assert "planted" not in flow_names(api)


def test_a_runs_own_server_answers_nobody_else(tmp_path):
    """`polyloom run` without a server starts one: it listens on a port while the run goes on."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": str(REPOSITORY), "COLUMNS": "160"}
    command = [
        sys.executable,
        "-m",
        "flows",
        "run",
        str(REPOSITORY / "configs" / "quickstart.yaml"),
        "--set=languages=[en]",
        "--until",
        "ingest",
    ]
    with (tmp_path / "run.log").open("wb") as log:
        run = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
        try:
            own = own_server(run)
            headers = {"Origin": FOREIGN, "Access-Control-Request-Method": "POST"}
            preflight = httpx.options(f"{own}/flows/", headers=headers, timeout=60)
            simple = httpx.post(
                f"{own}/flows/", content=b'{"name": "planted"}', headers={"Origin": FOREIGN}, timeout=60
            )
            assert (preflight.status_code, simple.status_code) == (400, 401)
            for answer in (preflight, simple):
                assert "access-control-allow-origin" not in answer.headers
            assert run.wait(180) == 0, (tmp_path / "run.log").read_text()  # its own client has the login
        finally:
            run.kill()
            run.wait()


def own_server(run):
    """Wait until the server that a run starts answers; return its API's URL."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and run.poll() is None:
        for child in psutil.Process(run.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error, httpx.TransportError):
                words = child.cmdline()
                if "--port" in words:
                    url = f"http://127.0.0.1:{words[words.index('--port') + 1]}/api"
                    if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                        return url
        time.sleep(0.05)
    raise AssertionError(f"expected a server of the run's own, got none (exit status {run.poll()})")
