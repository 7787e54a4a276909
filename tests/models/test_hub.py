"""A hub that is busy for a moment; a real server on this machine stands in for it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from tasks.models import hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILE = b'{"model_type": "bert"}'


@contextmanager
def serving(statuses: list[int]) -> Iterator[tuple[str, list[int]]]:
    """Answer what is asked of a repository with these statuses in turn, then with what it holds; count the tries."""
    tries: list[int] = []

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/api/models/owner/name/revision/"):
                tries.append(statuses.pop(0) if statuses else 200)
                content = {"id": "owner/name", "sha": COMMIT, "siblings": [{"rfilename": "config.json"}]}
                self._answer(tries[-1], json.dumps(content).encode())
            elif self.path.startswith(f"/api/models/owner/name/tree/{COMMIT}"):
                entry = {"type": "file", "path": "config.json", "oid": "e", "size": len(FILE)}
                self._answer(200, json.dumps([entry]).encode())
            else:
                self._answer(200 if self.path.endswith("config.json") else 404, FILE)

        do_HEAD = do_GET

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), "ETag": '"e"', "X-Repo-Commit": COMMIT}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", tries
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(hub, "WAITS", [0.01, 0.01, 0.01])


@pytest.mark.parametrize("statuses", [[], [503], [503, 429, 500]])
def test_busy_hub_is_asked_again(statuses, tmp_path, caplog):
    wanted = list(statuses)
    with serving(statuses) as (url, tries):
        folder = hub.snapshot("owner/name", endpoint=url, cache_dir=tmp_path)
    assert (folder / "config.json").read_bytes() == FILE
    assert tries == [*wanted, 200]
    assert caplog.text.count("the hub answers with status") == len(wanted)


@pytest.mark.parametrize(("statuses", "number"), [([503] * 9, 4), ([401], 1), ([404], 1)])
def test_what_does_not_pass_is_told(statuses, number, tmp_path):
    with serving(statuses) as (url, tries), pytest.raises((HfHubHTTPError, LocalEntryNotFoundError)):
        hub.snapshot("owner/name", endpoint=url, cache_dir=tmp_path)
    assert len(tries) == number


def test_without_a_network_nothing_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "WAITS", [3600.0])
    with pytest.raises(LocalEntryNotFoundError):
        hub.snapshot("owner/name", endpoint="http://127.0.0.1:9", cache_dir=tmp_path)
