"""Run a flow in this process, for the command line: bars on the terminal, Prefect's own server if none is set up."""

import contextlib
import logging
import os
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.logging import RichHandler

from flows.ablation_variants import SeededVariant
from flows.configs import PipelineConfig
from flows.run.pipeline import BuildResult
from flows.run.progress import Bars
from tasks.engine.deferred import deferred

bake_off = deferred("flows.bake_off")  # these load Prefect, which reads the environment at import
execute = deferred("flows.run.execute")
train_retriever = deferred("flows.train_retriever")
ablation = deferred("flows.ablation")

ENVIRONMENT = {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 is tight on a small machine
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",  # what there is to say, `polyloom` says
    "PREFECT_LOGGING_EXTRA_LOGGERS": "polyloom",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "TOKENIZERS_PARALLELISM": "true",
}


def run(config: PipelineConfig, until: str | None, refresh: list[str], console: Console) -> list[BuildResult]:
    """Run the pipeline as a Prefect flow run, and show how it goes.

    Raises:
        Exception: what a step raised.
    """
    with _prefect(console, lambda: train_retriever.train_retriever) as flow:
        return [BuildResult(**row) for row in flow(config, until=until, refresh=refresh)]


def run_ablation(
    variants: list[SeededVariant], shown: list[SeededVariant], reference: str, console: Console
) -> list[dict[str, Any]]:
    """Run an ablation's pipelines as Prefect flow runs, one after the other, and compare what they measured.

    Raises:
        Exception: what a step raised.
    """
    with _prefect(console, lambda: ablation.ablation) as flow:
        table: list[dict[str, Any]] = flow(variants, shown, reference)
        return table


def run_bake_off(config: PipelineConfig, strategies: list[str], console: Console) -> list[BuildResult]:
    """Run the bake-off as a Prefect flow run; `Raises` as `run`."""
    with _prefect(console, lambda: bake_off.bake_off) as flow:
        return [BuildResult(**row) for row in flow(config, strategies=strategies)]


def prefect_api() -> str | None:
    """Return the URL of the Prefect API that is set up here, in the environment or a profile."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    home = Path(os.environ.get("PREFECT_HOME", Path.home() / ".prefect"))
    try:
        profiles = tomllib.loads((home / "profiles.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    active = os.environ.get("PREFECT_PROFILE", profiles.get("active", ""))
    url = profiles.get("profiles", {}).get(active, {}).get("PREFECT_API_URL")
    return str(url) if url else None


@contextlib.contextmanager
def _prefect(console: Console, load: Callable[[], Any]) -> Iterator[Any]:
    """Load a flow, with Prefect's settings for a terminal, and show its progress."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    log = logging.getLogger("polyloom")
    log.setLevel(logging.INFO)
    handler = RichHandler(console=console, show_path=False, show_level=False, markup=False, log_time_format="[%X]")
    with Bars(console) as bars, bars.draw("starting Prefect", 1, ""):
        flow = load()
        log.addHandler(handler)
    try:
        with execute.bars(Bars(console)):
            yield flow
    finally:
        log.removeHandler(handler)
