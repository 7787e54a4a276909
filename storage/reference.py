"""DatasetRef: the name of a dataset, and all that travels through Prefect."""

from pydantic import BaseModel, ConfigDict


class DatasetRef(BaseModel):
    """Names one immutable dataset: `<root>/<kind>/<partition>/<fingerprint>`."""

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
