"""What a report is made from: the record of a run, and its datasets where the store still has them."""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from storage import DatasetRef, Manifest, find, read, scan
from storage.runs import Run, RunDataset


class Stored(NamedTuple):
    """One dataset of the run that is in the store."""

    entry: RunDataset
    ref: DatasetRef
    manifest: Manifest


@dataclass(frozen=True)
class Source:
    """A run and its store."""

    run: Run
    root: str

    @functools.cached_property
    def stored(self) -> list[Stored]:
        """All datasets of the run that are there, in the run's order: inputs first."""
        pairs = ((entry, entry.ref(self.root)) for entry in self.run.datasets)
        return [Stored(entry, ref, content) for entry, ref in pairs if (content := find(ref)) is not None]

    def of(self, kind: str, **arguments: Any) -> dict[str, Stored]:
        """Return a kind's datasets by partition: of several that were made with these arguments the last."""
        return {
            one.ref.partition: one
            for one in self.stored
            if one.ref.kind == kind and all(one.manifest.arguments.get(name) == arguments[name] for name in arguments)
        }

    def frame(self, kind: str, **arguments: Any) -> pl.LazyFrame | None:
        """Put a kind's languages together, with the column `language`; None where there are none."""
        found = sorted(self.of(kind, **arguments).items())
        frames = [scan(one.ref).with_columns(language=pl.lit(language)) for language, one in found]
        return pl.concat(frames) if frames else None

    def metrics(self) -> dict[str, Stored]:
        """Return the metrics datasets by system, in the order in which systems are told: the trained one last."""
        return {str(one.manifest.arguments["system"]): one for one in self.stored if one.ref.kind == "metrics"}

    def read(self, kind: str) -> pl.DataFrame | None:
        """Read the dataset of all languages of a kind, if there is one."""
        one = self.of(kind).get("all")
        return read(one.ref) if one else None
