"""The Hugging Face hub, which may be busy for a moment: no run of a night has to end for that."""

import logging
import time
from pathlib import Path
from typing import Any

import huggingface_hub

from tasks.engine.step import deferred

errors = deferred("huggingface_hub.errors")  # loads an HTTP client

WAITS = [1.0, 4.0, 16.0]  # seconds; files are tried again by the library, what the hub says of a repository is not


def snapshot(repo_id: str, **options: Any) -> Path:
    """Bring a repository's files into the local cache; where the hub is busy, try again after a while.

    Args:
        repo_id: owner/name.
        options: as `huggingface_hub.snapshot_download` takes them.

    Raises:
        HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled: it cannot be had, and waiting would not help.
    """
    for wait in WAITS:
        try:
            return Path(huggingface_hub.snapshot_download(repo_id, **options))
        except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError) as error:
            status = _status(error)
            if status != 429 and status < 500:
                raise
            logging.getLogger("polyloom.hub").warning(
                "%s: the hub answers with status %s; next try in %.0f s", repo_id, status, wait
            )
            time.sleep(wait)
    return Path(huggingface_hub.snapshot_download(repo_id, **options))


def _status(error: Exception) -> int:
    """Return the status that the hub answered with; 0 where it did not, as without a network."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return int(response.status_code) if response is not None else 0
