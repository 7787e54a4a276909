"""Run a flow in this process, for the command line: bars on the terminal, Prefect's own server if none is set up."""

import importlib
import logging
import os
from typing import Any

from rich.console import Console
from rich.logging import RichHandler

from flows.run import api
from flows.run.progress import AsSentence, Bars, shown
from tasks.engine.step import deferred

httpx = deferred("httpx")  # heavy, and first needed where Prefect runs

ENVIRONMENT = {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",  # 20 is tight on a small machine with other work
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # what there is to say, `polyloom` says; the API's log has all of it
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR" if os.environ.get("POLYLOOM_TRACEBACK") else "CRITICAL",
    "PREFECT_LOGGING_HANDLERS_DEBUG_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "polyloom",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "TOKENIZERS_PARALLELISM": "true",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # they would run through ours; what is fetched, `weave` has fetched before
}


def run_flow(name: str, console: Console, *arguments: Any) -> Any:
    """Run a flow of this package as a Prefect flow run, and show how it goes.

    Args:
        name: of the flow, and of its module.
        console: the terminal.
        arguments: those of the flow.

    Returns:
        What the flow returns.

    Raises:
        PrefectUnavailable: Prefect's API does not answer, or no longer.
        Exception: what a step raised.
    """
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    logging.raiseExceptions = "POLYLOOM_TRACEBACK" in os.environ  # else each log line that the API misses is told
    log = logging.getLogger("polyloom")
    log.setLevel(logging.INFO)
    handler = RichHandler(console=console, show_path=False, show_level=False, markup=False, log_time_format="%X")
    handler.setFormatter(AsSentence())
    with Bars(console) as bars, bars.draw("starting Prefect", 1, ""):
        url = api.make_ready()
        flow = getattr(importlib.import_module(f"flows.{name}"), name)
        log.addHandler(handler)
    try:
        with shown(Bars(console)):
            return flow(*arguments)
    except httpx.HTTPError:
        api.check(url)
        raise
    finally:
        log.removeHandler(handler)
