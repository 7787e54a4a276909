"""Digests of input files that were read before, kept between runs: only new or changed files are read to plan a run."""

import contextlib
import json
from collections.abc import Iterator

from storage import backend


@contextlib.contextmanager
def remembered() -> Iterator[dict[str, str]]:
    """Yield the mapping from a file's path, size and time to its digest; what is added to it is kept.

    Losing the file behind it costs one more reading of the inputs.
    """
    path = backend.cache() / "digests.json"
    try:
        memo: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        memo = {}
    before = len(memo)
    yield memo
    if len(memo) != before:
        backend.put_bytes(json.dumps(memo, indent=0, sort_keys=True).encode(), str(path))
