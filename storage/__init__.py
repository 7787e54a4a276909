"""The dataset store: immutable, content-addressed, verified. Knows no Prefect and no torch."""

from storage.digests import file_digest
from storage.errors import AlreadyCommitted, DamagedDataset, MissingDataset, SchemaMismatch, StorageError
from storage.fingerprints import code_fingerprint, fingerprint
from storage.journal import Journal, open_journal
from storage.manifest import DatasetRef, Input, Manifest, Part, find, load
from storage.progress import begin, recorded, salvage
from storage.reader import check_dataset, checkout, count, folder, iter_parts, num_parts, read, scan
from storage.schemas import SCHEMAS
from storage.writer import Writer, commit

__all__ = [
    "SCHEMAS",
    "AlreadyCommitted",
    "DamagedDataset",
    "DatasetRef",
    "Input",
    "Journal",
    "Manifest",
    "MissingDataset",
    "Part",
    "SchemaMismatch",
    "StorageError",
    "Writer",
    "begin",
    "check_dataset",
    "checkout",
    "code_fingerprint",
    "commit",
    "count",
    "file_digest",
    "find",
    "fingerprint",
    "folder",
    "iter_parts",
    "load",
    "num_parts",
    "open_journal",
    "read",
    "recorded",
    "salvage",
    "scan",
]
