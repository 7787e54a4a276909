"""Run the flow in this process, for the command line: bars on the terminal, Prefect's own server if none is set up."""

import logging
import os
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.logging import RichHandler

from flows.configs import PipelineConfig
from flows.outcome import Outcome
from flows.progress import Bars
from tasks.stage import deferred

bake_off = deferred("flows.bake_off")  # these load Prefect, which reads the environment at import
execute = deferred("flows.execute")
train_retriever = deferred("flows.train_retriever")

ENVIRONMENT = {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 is tight on a small machine
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",  # what there is to say, `polyloom` says
    "PREFECT_LOGGING_EXTRA_LOGGERS": "polyloom",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "TOKENIZERS_PARALLELISM": "true",
}


def run(config: PipelineConfig, until: str | None, refresh: list[str], console: Console) -> list[Outcome]:
    """Run the pipeline as a Prefect flow run, and show how it goes.

    Raises:
        Exception: what a stage raised.
    """
    return _run(lambda: train_retriever.train_retriever, console, config, until=until, refresh=refresh)


def run_bake_off(config: PipelineConfig, strategies: list[str], console: Console) -> list[Outcome]:
    """Run the bake-off as a Prefect flow run; `Raises` as `run`."""
    return _run(lambda: bake_off.bake_off, console, config, strategies=strategies)


def _run(find_flow: Callable[[], Any], console: Console, config: PipelineConfig, **parameters: Any) -> list[Outcome]:
    """Set Prefect up, import the flow, and run it with bars and a log on the terminal."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    log = logging.getLogger("polyloom")
    log.setLevel(logging.INFO)
    handler = RichHandler(console=console, show_path=False, show_level=False, markup=False, log_time_format="[%X]")
    with Bars(console) as bars, bars.draw("starting Prefect", 1, ""):
        flow = find_flow()
        log.addHandler(handler)
    try:
        with execute.bars(Bars(console)):
            return [Outcome(**row) for row in flow(config, **parameters)]
    finally:
        log.removeHandler(handler)
