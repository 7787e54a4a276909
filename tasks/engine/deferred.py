"""A module that is imported at first use."""

import importlib
from typing import Any


class deferred:  # noqa: N801 - reads as a statement: `run_flow = deferred("flows.cli.run_flow")`
    """A module that is imported when something of it is used, so that a cached run loads no Prefect and no torch."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)
