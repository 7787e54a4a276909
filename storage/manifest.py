"""What a dataset is called, and its manifest: written last, it is the commit, and it says all there is to know."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from storage import backend
from storage.errors import DamagedDataset, MissingDataset
from storage.fingerprints import fingerprint

NAME = "manifest.json"


class DatasetRef(BaseModel):
    """Names one immutable dataset: `<root>/<kind>/<partition>/<fingerprint>`. All that steps hand to one another."""

    model_config = ConfigDict(frozen=True)

    kind: str
    """What the rows are; a key of `SCHEMAS`."""
    partition: str
    """A language, or `all`."""
    fingerprint: str
    """Hash of the code, the settings and the inputs that made it."""
    root: str
    """The store: a local folder or an fsspec URL such as `s3://bucket/prefix`."""

    @property
    def uri(self) -> str:
        """Where the dataset lies."""
        return f"{self.root}/{self.kind}/{self.partition}/{self.fingerprint}"

    def __str__(self) -> str:
        return f"{self.kind}/{self.partition}/{self.fingerprint[:12]}"


class Part(BaseModel):
    """One committed file: a Parquet part with rows, or any other file (rows 0)."""

    model_config = ConfigDict(frozen=True)

    name: str
    rows: int
    bytes: int
    sha256: str


class Input(BaseModel):
    """A dataset that another one was made from, with the content it had then."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    partition: str
    fingerprint: str
    content: str

    def ref(self, root: str) -> DatasetRef:
        """Name the dataset in its store."""
        return DatasetRef(kind=self.kind, partition=self.partition, fingerprint=self.fingerprint, root=root)


class Manifest(BaseModel):
    """What a dataset is, where it comes from and what it cost."""

    kind: str
    partition: str
    fingerprint: str
    step: str
    code: str
    arguments: dict[str, Any]
    inputs: list[Input]
    columns: dict[str, str]
    parts: list[Part]
    files: list[Part]
    versions: dict[str, str]
    created_at: str
    seconds: float
    peak_memory_bytes: int

    @property
    def rows(self) -> int:
        """Rows of all parts together."""
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        """Bytes of all parts and files together."""
        return sum(part.bytes for part in [*self.parts, *self.files])

    @property
    def content(self) -> str:
        """Hash of what the dataset holds: equal content, equal hash, whoever built it and when."""
        return fingerprint(
            {
                "parts": [part.sha256 for part in self.parts],
                "files": {file.name: file.sha256 for file in self.files},
            }
        )


def load(ref: DatasetRef) -> Manifest:
    """Read a dataset's manifest.

    Raises:
        MissingDataset: the dataset was never committed.
        DamagedDataset: the manifest cannot be read.
    """
    uri = f"{ref.uri}/{NAME}"
    try:
        content = backend.read_bytes(uri)
    except FileNotFoundError as error:
        raise MissingDataset(
            f"dataset '{ref.uri}': expected {NAME}, found none. Run the pipeline that builds it."
        ) from error
    try:
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        raise DamagedDataset(ref.uri, uri, f"expected a manifest, got {error.error_count()} errors") from error


def find(ref: DatasetRef) -> Manifest | None:
    """Read a dataset's manifest, or return None where it was never committed."""
    try:
        return load(ref)
    except MissingDataset:
        return None
