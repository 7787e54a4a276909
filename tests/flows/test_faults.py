"""Prefect's API away, wrong or locked, and what the system refuses: one sentence each, with the cure."""

import base64
import errno
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from flows.run.api import PrefectUnavailable, check, setting
from tasks.faults import describe, no_room


class Answers(BaseHTTPRequestHandler):
    """Answers as Prefect does to who knows the login `me:secret`; under other addresses as something else."""

    def do_POST(self):
        if self.path != "/api/flows/filter":
            status, text = (200, "<html>") if self.path.startswith("/page") else (404, "")
        elif self.headers["Authorization"] == f"Basic {base64.b64encode(b'me:secret').decode()}":
            status, text = 200, "[]"
        else:
            status, text = 401, ""
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    for name in ("PREFECT_API_AUTH_STRING", "PREFECT_API_KEY", "PREFECT_API_URL", "PREFECT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as http:
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()


def test_api_that_takes_the_login_is_fine(server, monkeypatch):
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "me:secret")
    check(f"{server}/api")


def test_login_of_the_profile_counts(server, tmp_path):
    (tmp_path / "profiles.toml").write_text(
        f"active = 'mine'\n[profiles.mine]\nPREFECT_API_URL = '{server}/api'\nPREFECT_API_AUTH_STRING = 'me:secret'\n"
    )
    check(setting("PREFECT_API_URL"))


@pytest.mark.parametrize("login", [None, "me:wrong"])
def test_wrong_login_names_the_variable(server, monkeypatch, login):
    if login:
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", login)
    with pytest.raises(PrefectUnavailable, match=r"take the login, got status 401\. Set PREFECT_API_AUTH_STRING"):
        check(f"{server}/api")


@pytest.mark.parametrize(("path", "got"), [("", "status 404"), ("/elsewhere/api", "status 404")])
def test_other_server_is_not_taken_for_prefect(server, path, got):
    with pytest.raises(PrefectUnavailable, match=f"expected Prefect's API at .*, got {got}.*/api at its end"):
        check(f"{server}{path}")


@pytest.mark.parametrize("url", ["{server}/page", "http://127.0.0.1:1/api", "nonsense", "http://nowhere.invalid/api"])
@pytest.mark.parametrize("named", [True, False])
def test_what_does_not_answer_is_one_sentence(server, url, named, monkeypatch):
    if named:
        monkeypatch.setenv("PREFECT_API_URL", url.format(server=server))
    said = (
        "Prefect's API to answer at .*, got: .*\\. Start"
        if named
        else "the run's own server to answer at .*, got: .*\\. Run"
    )
    with pytest.raises(PrefectUnavailable, match=f"expected {said} the"):
        check(url.format(server=server))


def test_server_that_never_answers_is_given_up_in_seconds(server):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        with pytest.raises(PrefectUnavailable, match="timed out"):
            check(f"http://127.0.0.1:{silent.getsockname()[1]}/api")
    assert time.monotonic() - started < 15  # 3 s on a quiet machine


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, "/store/x: expected room on the disk, got ENOSPC (No space left on device). Make room and run"),
        (errno.EROFS, "/store/x: expected a place that can be written to, got EROFS (Read-only file system). Make it"),
        (errno.EACCES, "/store/x: expected permission, got EACCES (Permission denied). Change its owner or mode, or"),
        (errno.ENOTDIR, "/store/x: expected a folder, got ENOTDIR (Not a directory). Move the file away, or name"),
        (errno.EIO, "/store/x: expected it to work, got EIO (Input/output error). Mend it and run the same command"),
    ],
)
def test_system_s_refusal_is_a_sentence_with_path_and_cure(number, expected):
    assert describe(OSError(number, os.strerror(number), "/store/x")).startswith(expected)


def test_error_with_a_text_of_its_own_keeps_it():
    assert describe(FileNotFoundError("queries: expected a file, got none. Name one.")).startswith("queries: expected")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        ValueError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"),
    ],
)
def test_full_disk_is_known_by_number_or_text_and_named_by_the_dataset(error):
    refused = no_room(error, "/store/corpus/en/1")
    assert (refused.errno, refused.filename) == (errno.ENOSPC, "/store/corpus/en/1")


def test_other_errors_are_not_about_room():
    assert no_room(ValueError("expected 28 rows, got 3"), "/store") is None
    assert no_room(ConnectionError("[Errno 111] Connection refused"), "/store") is None
