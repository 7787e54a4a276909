"""What a dataset is called, and its manifest: written last, it is the commit, and it says all there is to know."""

import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from storage import backend
from storage.errors import DamagedDataset, MissingDataset
from storage.fingerprints import fingerprint

NAME = "manifest.json"
MOST_BYTES = 1 << 28  # of a manifest: that of a million parts


def _path(name: str) -> str:
    """See that a name leads to a file below a folder: what a stranger wrote leads nowhere else."""
    pieces = name.split("/")
    if (
        not name.isprintable()
        or "\\" in name
        or not {"", ".", ".."}.isdisjoint(pieces)
        or max(len(piece.encode()) for piece in pieces) > 255
        or len(pieces) > 10
    ):
        raise ValueError(f"expected a file name, got {name[:99]!r}")
    return name


def _time(text: str) -> str:
    datetime.datetime.fromisoformat(text)
    return text


MOST = 2**63 - 1  # that is counted
FilePath = Annotated[str, AfterValidator(_path)]
Segment = Annotated[FilePath, Field(pattern="^[^/]*$")]
Count = Annotated[int, Field(ge=0, le=MOST, strict=True)]


def part_name(shard: int, sha256: str) -> str:
    """Name a Parquet part: its number, and the start of its checksum."""
    return f"part-{shard:05d}-{sha256[:12]}.parquet"


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

    name: FilePath
    rows: Count
    bytes: Count
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    taken: Count = 0
    """Of the rows: those of an earlier dataset, whose texts are the same."""


class Input(BaseModel):
    """A dataset that another one was made from, with the content it had then."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: Segment
    partition: Segment
    fingerprint: Segment
    content: str

    def ref(self, root: str) -> DatasetRef:
        """Name the dataset in its store."""
        return DatasetRef(kind=self.kind, partition=self.partition, fingerprint=self.fingerprint, root=root)


class Adopted(BaseModel):
    """Where a dataset comes from that was taken over after its code had moved, and what was computed anew before."""

    fingerprint: Segment
    """Of the dataset whose parts and files these are."""
    code: str
    """That made them; the manifest's own `code` is the one that they stand for now."""
    why: str
    """What was compared is equal; only its inputs' code had moved; or a person trusted the change."""
    compared_parts: Count = 0
    compared_rows: Count = 0


class Manifest(BaseModel):
    """What a dataset is, where it comes from and what it cost."""

    model_config = ConfigDict(allow_inf_nan=False)

    kind: Segment
    partition: Segment
    fingerprint: Segment
    number: Count = 0
    """Counts the commits of this kind and partition: the newest has the highest, whatever clocks said."""
    step: Segment
    code: str
    arguments: dict[str, Any]
    inputs: list[Input]
    columns: dict[str, str]
    parts: Annotated[list[Part], Field(min_length=1)]
    files: list[Part]
    versions: dict[str, str]
    created_at: Annotated[str, AfterValidator(_time)]
    seconds: Annotated[float, Field(ge=0)]
    peak_memory_bytes: Count
    adopted: Adopted | None = None

    @model_validator(mode="after")
    def _names(self) -> "Manifest":
        """See that parts are named as `Writer` names them, and that files lie in folders and not over one another."""
        for shard, part in enumerate(self.parts):
            if part.name != part_name(shard, part.sha256):
                raise ValueError(f"expected part {shard} to be named after its checksum, got {part.name!r}")
        taken = {
            name[:end] for name in (file.name for file in self.files) for end in range(len(name)) if name[end] == "/"
        }
        for file in self.files:
            if file.rows or "/" not in file.name or file.name in taken:
                raise ValueError(f"expected each file once, in a folder and without rows, got {file.name!r}")
            taken.add(file.name)
        return self

    @property
    def age(self) -> tuple[int, str, str]:
        """What datasets of one kind and partition are sorted by, oldest first."""
        return self.number, self.created_at, self.fingerprint

    @property
    def rows(self) -> int:
        """Rows of all parts together."""
        return sum(part.rows for part in self.parts)

    @property
    def taken(self) -> int:
        """Rows that were taken over from an earlier dataset instead of computed."""
        return sum(part.taken for part in self.parts)

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
        if backend.is_local(uri) and (backend.size(uri) or 0) > MOST_BYTES:
            raise DamagedDataset(ref.uri, uri, f"expected at most {MOST_BYTES} bytes, got {backend.size(uri)}")
        content = Manifest.model_validate_json(backend.read_bytes(uri))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingDataset(
            f"dataset '{ref.uri}': expected {NAME}, found none. Run the pipeline that builds it."
        ) from error
    except IsADirectoryError as error:
        raise DamagedDataset(ref.uri, uri, "expected a file, got a folder") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        problem = f"expected a manifest, got {error.error_count()} errors: {first['loc']!r} {first['msg']}"
        raise DamagedDataset(ref.uri, uri, problem) from error
    if (content.kind, content.partition, content.fingerprint) != (ref.kind, ref.partition, ref.fingerprint):
        found = f"{content.kind}/{content.partition}/{content.fingerprint}"
        raise DamagedDataset(ref.uri, uri, f"expected this dataset's manifest, got that of {found}")
    return content


def find(ref: DatasetRef) -> Manifest | None:
    """Read a dataset's manifest, or return None where it was never committed."""
    try:
        return load(ref)
    except MissingDataset:
        return None
