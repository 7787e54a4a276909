"""Records of the parts of a dataset that is being built: a killed run, or another one's workers, go on from them."""

import contextlib
import re
from collections.abc import Callable

from pydantic import ValidationError

from storage import backend, manifest
from storage.errors import DamagedDataset
from storage.manifest import DatasetRef, Part, part_name
from storage.reader import sound_path

PROGRESS = "progress"
_INPUTS = "inputs"  # beside the records: what those parts were made from
_RECORD = re.compile(r"([0-9]{5,})\.json")


def record(ref: DatasetRef, shard: int, part: Part) -> None:
    """Note that a part is in its place."""
    backend.put_bytes(part.model_dump_json().encode(), f"{ref.uri}/{PROGRESS}/{shard:05d}.json")


def recorded(ref: DatasetRef) -> set[int]:
    """Name the shards that are made, of a dataset that is being built."""
    return set(_record_uris(ref))


def records(ref: DatasetRef, share: Callable[[int], bool]) -> dict[int, Part]:
    """Read the records of the shards of a share, by shard."""
    found = {}
    for shard, uri in _record_uris(ref).items():
        if not share(shard):
            continue
        try:
            part = Part.model_validate_json(backend.read_bytes(uri))
        except (ValidationError, FileNotFoundError):  # torn by a crash, or another run has just committed
            continue
        if part.name == part_name(shard, part.sha256):
            found[shard] = part
    return found


def _record_uris(ref: DatasetRef) -> dict[int, str]:
    """List the records of parts, by shard; what else lies there is not ours."""
    found = [
        (_RECORD.fullmatch(name), f"{ref.uri}/{PROGRESS}/{name}") for name in backend.names(f"{ref.uri}/{PROGRESS}")
    ]
    return {int(match[1]): uri for match, uri in found if match}


def salvage(ref: DatasetRef) -> None:
    """Record a damaged dataset's sound parts, so that only the others are built again; its commit stays meanwhile."""
    try:
        committed = manifest.find(ref)
    except DamagedDataset:
        committed = None
    for shard, part in enumerate(committed.parts if committed else []):
        with contextlib.suppress(DamagedDataset):
            sound_path(ref, part)
            record(ref, shard, part)


def begin(ref: DatasetRef, made_from: str, *, anew: bool = False) -> bool:
    """Keep the records of a killed build that began with the same inputs; forget those of any other.

    Args:
        ref: the dataset.
        made_from: hash of what the inputs hold.
        anew: forget them all.

    Returns:
        Whether they were kept.
    """
    uri = f"{ref.uri}/{PROGRESS}/{_INPUTS}"
    with contextlib.suppress(FileNotFoundError):
        if not anew and backend.read_bytes(uri) == made_from.encode():
            return True
    forget(ref)
    backend.put_bytes(made_from.encode(), uri)
    return False


def forget(ref: DatasetRef) -> None:
    """Remove the records: the manifest lists the parts, or what they were made from has changed."""
    for uri in [*_record_uris(ref).values(), f"{ref.uri}/{PROGRESS}/{_INPUTS}"]:
        backend.remove(uri)
