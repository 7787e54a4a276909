"""What the datasets of one run say about one language."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from storage import backend, manifest
from storage.errors import DamagedDataset, MissingDataset
from storage.manifest import DatasetRef, Manifest


@dataclass
class Related:
    """One partition's datasets of a run, and those of all partitions together."""

    root: str
    partition: str
    manifests: dict[DatasetRef, Manifest] = field(default_factory=dict)
    """What is in the store of them, what others were made from first."""

    def of(self, kind: str) -> list[tuple[DatasetRef, Manifest]]:
        """List those of a kind; the one that was made from the others first."""
        return [(ref, content) for ref, content in reversed(self.manifests.items()) if ref.kind == kind]

    def ref(self, kind: str) -> DatasetRef | None:
        """Name the one of a kind that counts, if there is one."""
        return next((ref for ref, _ in self.of(kind)), None)


def find_related(root: str, partition: str, refs: Iterable[DatasetRef]) -> Related:
    """Gather one partition's datasets.

    Args:
        root: the store.
        partition: a language.
        refs: the datasets of a run, what others are made from first.
    """
    related = Related(root, partition)
    asked = [ref for ref in refs if ref.partition in (partition, "all")]
    with backend.held([ref.uri for ref in asked], manifest.NAME):
        for ref in asked:
            with contextlib.suppress(MissingDataset, DamagedDataset):
                related.manifests[ref] = manifest.load(ref)
    return related
