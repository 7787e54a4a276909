"""Prefect's API: the one that is set up here, seen to answer before work begins, or a server for this process alone."""

import base64
import fcntl
import importlib
import importlib.metadata
import json
import os
import secrets
import signal
import subprocess
import threading
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tasks.engine.children import die_with_this

CHECK_SECONDS = 3.0


class PrefectUnavailable(RuntimeError):
    """Prefect's API does not answer as it should; the text says what to do."""


def setting(name: str) -> str | None:
    """Return one of Prefect's settings, such as `PREFECT_API_URL`, from the environment or the profile in use."""
    if value := os.environ.get(name):
        return value
    try:
        profiles = tomllib.loads((_home() / "profiles.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    active = os.environ.get("PREFECT_PROFILE", profiles.get("active", ""))
    value = profiles.get("profiles", {}).get(active, {}).get(name)
    return str(value) if value else None


def make_ready() -> str:
    """See that the API answers, or start a server where none is set up; return its URL.

    Raises:
        PrefectUnavailable: it does not.
    """
    if url := setting("PREFECT_API_URL"):
        os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "3")  # 14 s a request: a run without it ends in a minute
        check(url)
        return url
    os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "5")  # a minute: it is there, but runs share its database
    os.environ.setdefault("PREFECT_SERVER_DATABASE_TIMEOUT", "60")
    _lock_own_server()
    return _start_server()


def check(url: str) -> None:
    """See that Prefect's API answers there, and knows who asks.

    Raises:
        PrefectUnavailable: it does not.
    """
    try:
        request = urllib.request.Request(f"{url.rstrip('/')}/flows/filter", b'{"limit": 1}', _headers())
        with urllib.request.urlopen(request, timeout=CHECK_SECONDS) as answer:
            found = json.loads(answer.read(1_000_000))
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise PrefectUnavailable(
                f"PREFECT_API_URL: expected {url} to take the login, got status {error.code}. "
                "Set PREFECT_API_AUTH_STRING (or PREFECT_API_KEY) as the server has it."
            ) from error
        found = f"status {error.code}"
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or str(error) or type(error).__name__
        if not setting("PREFECT_API_URL"):
            raise PrefectUnavailable(
                f"Prefect: expected the run's own server to answer at {url}, got: {why}. Run the same command again: "
                "what was built is kept, and it goes on."
            ) from error
        raise PrefectUnavailable(
            f"PREFECT_API_URL: expected Prefect's API to answer at {url}, got: {why}. Start the server, or unset it to "
            "run without one; what was built is kept, and the same command goes on."
        ) from error
    if not isinstance(found, list):
        raise PrefectUnavailable(
            f"PREFECT_API_URL: expected Prefect's API at {url}, got {str(found)[:80]}. "
            "Set it to the server's address with /api at its end, or unset it to run without a server."
        )


def _home() -> Path:
    return Path(os.environ.get("PREFECT_HOME", Path.home() / ".prefect"))


def _headers() -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if login := setting("PREFECT_API_AUTH_STRING"):
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    elif key := setting("PREFECT_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    return headers


def _lock_own_server() -> None:
    """Let nobody but this process and its children talk to the server that Prefect starts for the run.

    It listens on a port of 127.0.0.1, where other users and every web page in a browser reach it.
    """
    login = f"polyloom:{secrets.token_urlsafe(24)}"
    os.environ |= {
        "PREFECT_SERVER_API_AUTH_STRING": login,
        "PREFECT_API_AUTH_STRING": login,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "none.invalid",  # no page has this origin
    }


def _start_server() -> str:
    """Start Prefect's own server for one process; the first on a new home alone, since it makes the database."""
    home = _home()
    home.mkdir(parents=True, exist_ok=True)
    made = home / f"polyloom-database-{importlib.metadata.version('prefect')}"
    server = importlib.import_module("prefect.server.api.server").SubprocessASGIServer()
    launch = server._run_uvicorn_command  # watched from its first moment: it takes long to answer
    server._run_uvicorn_command = lambda: die_with_this(launch())
    with (home / "polyloom.lock").open("w") as lock:
        if not (made.exists() and (home / "prefect.db").exists()):
            fcntl.flock(lock, fcntl.LOCK_EX)
        # a child inherits what is blocked: Ctrl-C must not end the server before it is told that the run is cancelled
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            server.start()
        except (RuntimeError, OSError) as error:
            server.stop()
            raise PrefectUnavailable(
                f"Prefect: expected its server to start, got: {str(error).strip()[-300:]}. Look into {home}, or set "
                "PREFECT_API_URL to a server that runs."
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        made.touch()
    settings = importlib.import_module("prefect.settings").get_current_settings()
    threading.Thread(target=_give_up_with, args=(server.server_process, settings), daemon=True).start()
    return str(server.api_url)


def _give_up_with(process: "subprocess.Popen[bytes]", settings: Any) -> None:
    """Let no request be repeated once this process's own server has ended: it does not come back."""
    process.wait()
    settings.client.max_retries = 0
