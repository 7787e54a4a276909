"""Every way storage can fail.

StorageError
├── MissingDataset   there is no manifest: never built, or not committed
├── DamagedDataset   a part or file is gone or its bytes changed; names the path
├── AlreadyCommitted another run has committed the dataset first
└── SchemaMismatch   a frame does not have the columns of its kind
"""

import functools
import logging


class StorageError(Exception):
    """Base of all storage failures."""


class MissingDataset(StorageError, FileNotFoundError):
    """A dataset without a manifest: it does not exist."""


class DamagedDataset(StorageError):
    """Bytes in the store are not those that were committed; `problem` says what was expected and what is there."""

    def __init__(self, uri: str, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}. Run the pipeline again: it rebuilds this dataset.")
        self.uri = uri
        self.path = path
        self.problem = problem

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        """Let it travel from a worker."""
        return type(self), (self.uri, self.path, self.problem)


@functools.cache
def warn(text: str) -> None:
    """Say what a list leaves out, once: a command makes it several times."""
    logging.getLogger("polyloom.store").warning(text)


class AlreadyCommitted(StorageError):
    """Another run has committed the dataset first; its commit counts."""


class SchemaMismatch(StorageError, ValueError):
    """A frame's columns are not those of its kind."""
