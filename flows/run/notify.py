"""Tell people by one of Prefect's notification blocks, which the operator has set up; its receiver may be down."""

import logging
from typing import Any

from prefect.artifacts import create_markdown_artifact
from prefect.blocks.core import Block

from flows.run.gate import Verdict
from flows.settings_file import ConfigError


def load_block(name: str | None) -> Any:
    """Load a block, before any work is done; None for none.

    Raises:
        ConfigError: Prefect has none of this name, or it cannot notify.
    """
    if name is None:
        return None
    try:
        block = Block.load(name)
    except ValueError as error:
        raise ConfigError(
            f"export.notify: expected a block that Prefect has, got '{name}'. Make it on the UI's page Blocks."
        ) from error
    if not hasattr(block, "notify"):
        raise ConfigError(f"export.notify: expected a block that notifies, got '{name}'. Name another one.")
    return block


def tell(block: Any, name: str, verdict: Verdict | None) -> None:
    """Publish which model won, and why; a receiver that does not answer costs no night's work."""
    if verdict is None:
        return
    create_markdown_artifact(f"**{verdict.text}**", key="latest", description="Which model is the one to use.")
    if block is None:
        return
    try:
        block.notify(verdict.text, subject=f"polyloom {name}: {'a new model' if verdict.won else 'no new model'}")
    except Exception as error:
        logging.getLogger("polyloom.run").warning("export.notify: expected the message to be taken, got: %s", error)
