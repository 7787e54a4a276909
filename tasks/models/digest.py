"""The identity of a model: its bytes, never its name. Light on purpose, no torch: planning asks for it."""

import functools
import hashlib
import re
from pathlib import Path

from tasks.models.locate import locate_model, model_files

_SHA256 = re.compile(r"[0-9a-f]{64}")


def model_digest(source: str) -> str:
    """Return a digest of the model's weights, tokenizer and configuration.

    The same model under another name, in another folder or from the hub has the same digest.

    Args:
        source: as for `locate_model`.

    Returns:
        64 hexadecimal digits.

    Raises:
        FileNotFoundError: there is no such model, or it has no safetensors weights.
        ValueError: `source` is none of the known forms.
    """
    place = locate_model(source)
    if place.is_file():
        return _content_digest(place)
    lines = [f"{path.relative_to(place).as_posix()} {_content_digest(path)}\n" for path in model_files(place)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _content_digest(path: Path) -> str:
    target = path.resolve()
    if target.parent.name == "blobs" and _SHA256.fullmatch(target.name):
        return target.name  # the hub's cache names large files by their SHA-256
    status = target.stat()
    return _file_digest(target, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _file_digest(path: Path, _size: int, _modified_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
