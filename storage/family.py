"""Which datasets of a store belong together: what a ledger was made from, and what was made from it."""

from collections.abc import Collection
from dataclasses import dataclass, field

from storage import inspect, manifest
from storage.manifest import Manifest
from storage.reference import DatasetRef

Name = tuple[str, str, str]  # kind, partition, fingerprint

# Each is the newest that fits to those before it. The plan comes first: the ledger that it was made from counts.
_ORDER = ("batch_plan", "hard_negatives", "training_log", "run", "metrics", "queries", "qrels", "corpus")
# Of these kinds a family has one line: a plan that was made from another ledger belongs to another family.
_DECISIVE = ("queries", "qrels", "corpus", "hard_negatives", "batch_plan", "training_log")


@dataclass
class Family:
    """One partition's datasets that belong together, and those of all partitions that were made with them."""

    root: str
    partition: str
    found: dict[Name, Manifest] = field(default_factory=dict)
    """In the order of being found: the newest of a kind first, then what it was made from."""

    def of(self, kind: str) -> list[tuple[DatasetRef, Manifest]]:
        """List the members of a kind, of this partition or of all languages; the decisive one first."""
        return [
            (DatasetRef(kind=name, partition=partition, fingerprint=fingerprint, root=self.root), content)
            for (name, partition, fingerprint), content in self.found.items()
            if name == kind and partition in (self.partition, "all")
        ]

    def ref(self, kind: str) -> DatasetRef | None:
        """Name the decisive member of a kind, if there is one."""
        return next((ref for ref, _ in self.of(kind)), None)


def find_family(root: str, partition: str, allowed: Collection[Name] | None = None) -> Family:
    """Gather one partition's datasets that belong together: the newest batch plan's, or the newest ledger's.

    A dataset belongs to the family if everything decisive that it was made from does. Of runs and metrics there is
    one per system.

    Args:
        root: the store.
        partition: a language.
        allowed: the datasets of one configuration; None: any.
    """
    family = Family(root.rstrip("/"), partition)
    for kind in _ORDER:
        systems: set[str] = set()
        for name, content in _newest(family.root, kind, partition, allowed):
            system = str(content.arguments.get("system", ""))
            if system in systems:
                continue
            line = {name: content, **_ancestors(family.root, content)}
            if _fits(line, family.found):
                family.found |= line
                systems.add(system)
    return family


def _newest(root: str, kind: str, partition: str, allowed: Collection[Name] | None) -> list[tuple[Name, Manifest]]:
    """List a kind's datasets, newest first; of two made in one second, the one that was made from the other.

    Ledgers that a bake-off compared come last, in the order of being made: all but the first were made for it alone.
    """
    pairs = [
        ((kind, ref.partition, ref.fingerprint), content)
        for one in (partition, "all")
        for ref, content in inspect.datasets(root, kind, one)
    ]
    pairs = [pair for pair in pairs if allowed is None or pair[0] in allowed]
    depth = {name: len(_ancestors(root, content)) for name, content in pairs}
    pairs.sort(key=lambda pair: (pair[1].created_at, depth[pair[0]]), reverse=True)
    compared = _compared(root) if kind == "hard_negatives" else set()
    own = [pair for pair in pairs if pair[0] not in compared]
    return own + [pair for pair in reversed(pairs) if pair[0] in compared]


def _compared(root: str) -> set[Name]:
    return {
        (entry.kind, entry.partition, entry.fingerprint)
        for _, content in inspect.datasets(root, "bake_off")
        for entry in content.inputs
    }


def _ancestors(root: str, content: Manifest) -> dict[Name, Manifest]:
    """List what a dataset was made from, nearest first; what is gone is left out."""
    found: dict[Name, Manifest] = {}
    waiting = [content]
    while waiting:
        for entry in waiting.pop(0).inputs:
            name = (entry.kind, entry.partition, entry.fingerprint)
            ref = DatasetRef(kind=entry.kind, partition=entry.partition, fingerprint=entry.fingerprint, root=root)
            if name not in found and (inner := manifest.find(ref)) is not None:
                found[name] = inner
                waiting.append(inner)
    return found


def _fits(line: dict[Name, Manifest], found: dict[Name, Manifest]) -> bool:
    taken: dict[tuple[str, str], set[str]] = {}
    for kind, partition, fingerprint in found:
        taken.setdefault((kind, partition), set()).add(fingerprint)
    return all(
        fingerprint in taken.get((kind, partition), {fingerprint})
        for kind, partition, fingerprint in line
        if kind in _DECISIVE
    )
