"""What a flow run is called: its configuration, and what is different in this run."""

import re
from pathlib import Path
from typing import Any

from prefect.runtime import flow_run

from flows.configs import PipelineConfig
from flows.run.pipeline import STAGES

_WIDTH = 120  # characters of a name
# What Prefect calls a run by itself: `mauve-fox` its API, `Awesome-Bongo` the form of its UI.
_MADE_UP = re.compile(r"[a-z]+-[a-z]+|[A-Z][a-z]+-[A-Z]\S{0,5}")


def run_name() -> str:
    """Name a flow run by its configuration and what is different: `quickstart · plan_batches.seed=7 · until train`.

    A name that someone has typed into the form stays.
    """
    if (typed := flow_run.name) and not _MADE_UP.fullmatch(typed):
        return str(typed)
    given: dict[str, Any] = flow_run.parameters
    config = given["config"]
    if isinstance(config, PipelineConfig):
        parts = [config.name, *config.origin.overrides]
    else:
        parts = [Path(given["path"] or config).stem, *map(str, given["changes"])]
    if given.get("until") not in (None, STAGES[-1]):
        parts.append(f"until {given['until']}")
    parts += [f"{stage} again" for stage in given.get("refresh") or []]
    name = " · ".join(parts)
    return name if len(name) <= _WIDTH else f"{name[: _WIDTH - 1]}…"
