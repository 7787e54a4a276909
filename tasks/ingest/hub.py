"""Dataset ids on the Hugging Face hub -> files in the local cache."""

import re
from pathlib import Path

from tasks.engine.step import deferred
from tasks.ingest.config import HUB_PREFIX
from tasks.models.hub import snapshot

errors = deferred("huggingface_hub.errors")  # loads an HTTP client


def fetch(url: str, *, cache_dir: Path | None = None, local_files_only: bool = False) -> str:
    """Bring the files that match a pattern into the local cache and return the pattern there.

    Files that are already in the cache are not fetched again; with HF_HUB_OFFLINE=1 nothing is fetched.

    Args:
        url: `hf://datasets/<owner>/<name>[@revision]/<pattern>`.
        cache_dir: the cache's folder; huggingface_hub's own where it is None.
        local_files_only: look at the cache alone, as HF_HUB_OFFLINE=1 does.

    Raises:
        ValueError: the URL has another shape.
        FileNotFoundError: the dataset is neither reachable nor in the cache.
    """
    parts = re.fullmatch(re.escape(HUB_PREFIX) + r"([^/@]+/[^/@]+)(?:@([^/]+))?/(.+)", url)
    if parts is None:
        raise ValueError(
            f"hub dataset: expected {HUB_PREFIX}<owner>/<name>[@revision]/<pattern>, got '{url}'. Correct ingest.path."
        )
    repo_id, revision, pattern = parts.groups()
    try:
        folder = snapshot(
            repo_id,
            repo_type="dataset",
            revision=revision,
            allow_patterns=[pattern, f"{pattern}.gz"],
            cache_dir=cache_dir,
            local_files_only=local_files_only,
        )
    except errors.LocalEntryNotFoundError as error:
        raise FileNotFoundError(
            f"hub dataset '{repo_id}': expected it on the hub or in the local cache, got neither. "
            "Unset HF_HUB_OFFLINE and check the network, or set ingest.path to a local copy."
        ) from error
    return f"{folder}/{pattern}"
