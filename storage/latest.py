"""Which model of a pipeline is the one to use: `<root>/model/latest/<name>.json`, replaced in one step.

Of each pipeline's name there is one. `polyloom gc` keeps all that its run made.
"""

import datetime
import urllib.parse

from pydantic import BaseModel, ValidationError

from storage import backend
from storage.errors import MissingDataset, StorageError

FOLDER = "model/latest"


class Latest(BaseModel):
    """The last good model of a pipeline."""

    name: str
    """Of the pipeline."""
    run: str
    """Id of the newest run that made it, or found it in the store."""
    model: str
    """The dataset, as kind/partition/fingerprint; so are its measures."""
    metrics: str
    metric: str
    value: float
    """Mean of the measure over the dev queries' languages."""
    why: str = ""
    """Why it is this one."""
    at: str = ""
    """When it became it (UTC)."""


def uri(root: str, name: str) -> str:
    """Say where a pipeline's pointer lies, whatever letters its name has."""
    return f"{root}/{FOLDER}/{urllib.parse.quote(name, safe=' ')}.json"


def read(root: str, name: str) -> Latest | None:
    """Read a pipeline's pointer; None where no model has won yet.

    Raises:
        StorageError: it cannot be read.
    """
    place = uri(root, name)
    try:
        return Latest.model_validate_json(backend.read_bytes(place))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise StorageError(
            f"{place}: expected what names a model, got {error.error_count()} errors. Remove the file."
        ) from error


def find(root: str, name: str) -> Latest:
    """Read a pipeline's pointer.

    Raises:
        MissingDataset: no model of this name has won yet.
    """
    if found := read(root, name):
        return found
    raise MissingDataset(f"{uri(root, name)}: expected which model to use, found none. Run {name} to the end first.")


def write(root: str, latest: Latest) -> None:
    """Make a model the latest of its pipeline."""
    latest.at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    backend.put_bytes(latest.model_dump_json(indent=1).encode() + b"\n", uri(root, latest.name))


def everyone(root: str) -> list[Latest]:
    """List the pointers of all pipelines of a store, by name."""
    names = [urllib.parse.unquote(one.removesuffix(".json")) for one in backend.names(f"{root}/{FOLDER}")]
    return [found for name in names if (found := read(root, name))]
