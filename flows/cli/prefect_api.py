"""Where Prefect's API is set up here, if anywhere; loads no Prefect."""

import os
import tomllib
from pathlib import Path


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
