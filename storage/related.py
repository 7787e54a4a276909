"""Which datasets of a store belong together: what a ledger was made from, and what was made from it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from storage import inspect, manifest
from storage.manifest import DatasetRef, Manifest

Name = tuple[str, str, str]  # kind, partition, fingerprint

# Each is the newest that fits to those before it. The plan comes first: the ledger that it was made from counts.
_ORDER = ("batch_plan", "hard_negatives", "training_log", "run", "metrics", "queries", "qrels", "corpus")
# Of these kinds only one dataset belongs to the others: a plan that was made from another ledger stays out.
_DECISIVE = ("queries", "qrels", "corpus", "hard_negatives", "batch_plan", "training_log")


@dataclass
class Related:
    """One partition's datasets that belong together, and those of all partitions that were made with them."""

    root: str
    partition: str
    manifests: dict[DatasetRef, Manifest] = field(default_factory=dict)
    """The newest of a kind first, then what it was made from."""

    def of(self, kind: str) -> list[tuple[DatasetRef, Manifest]]:
        """List those of a kind, of this partition or of all languages; the decisive one first."""
        return [
            (ref, content)
            for ref, content in self.manifests.items()
            if ref.kind == kind and ref.partition in (self.partition, "all")
        ]

    def ref(self, kind: str) -> DatasetRef | None:
        """Name the decisive one of a kind, if there is one."""
        return next((ref for ref, _ in self.of(kind)), None)


def find_related(root: str, partition: str, allowed: Collection[Name] | None = None) -> Related:
    """Gather one partition's datasets that belong together: the newest batch plan's, or the newest ledger's.

    A dataset belongs to them if everything decisive that it was made from does. Of runs and metrics there is one per
    system, of queries and judgements one per split.

    Args:
        root: the store.
        partition: a language.
        allowed: the datasets of one configuration; None: any.
    """
    related = Related(root.rstrip("/"), partition)
    for kind in _ORDER:
        parts: set[str] = set()
        for ref, content in _newest(related.root, kind, partition, allowed):
            part = _part(content)
            candidates = {ref: content, **_ancestors(ref.root, content)}
            if part not in parts and _fits(candidates, related.manifests):
                related.manifests |= candidates
                parts.add(part)
    return related


def _newest(
    root: str, kind: str, partition: str, allowed: Collection[Name] | None
) -> list[tuple[DatasetRef, Manifest]]:
    """List a kind's datasets, newest first; of two made at once, the one that was made from the other.

    Ledgers that a bake-off compared come last, in the order of being made: all but the first were made for it alone.
    """
    pairs = [
        (ref, content)
        for one in (partition, "all")
        for ref, content in inspect.datasets(root, kind, one)
        if allowed is None or (ref.kind, ref.partition, ref.fingerprint) in allowed
    ]
    depth = {ref: len(_ancestors(root, content)) for ref, content in pairs}
    pairs.sort(key=lambda pair: (pair[1].number, pair[1].created_at, depth[pair[0]]), reverse=True)
    bake_offs = inspect.datasets(root, "bake_off") if kind == "hard_negatives" else ()
    compared = {entry.ref(root) for _, content in bake_offs for entry in content.inputs}
    return [pair for pair in pairs if pair[0] not in compared] + [pair for pair in pairs[::-1] if pair[0] in compared]


def _ancestors(root: str, content: Manifest) -> dict[DatasetRef, Manifest]:
    """List what a dataset was made from, nearest first; what is gone is left out."""
    ancestors: dict[DatasetRef, Manifest] = {}
    waiting = [content]
    while waiting:
        for entry in waiting.pop(0).inputs:
            ref = entry.ref(root)
            if ref not in ancestors and (inner := manifest.find(ref)) is not None:
                ancestors[ref] = inner
                waiting.append(inner)
    return ancestors


def _part(content: Manifest) -> str:
    """Return what tells a dataset from others of its kind and partition that belong to the same pipeline."""
    return str(content.arguments.get("system", content.arguments.get("split", "")))


def _fits(candidates: Mapping[DatasetRef, Manifest], gathered: Mapping[DatasetRef, Manifest]) -> bool:
    """Say whether each decisive candidate is among those gathered, or the first of its kind, partition and split."""
    taken = {(ref.kind, ref.partition, _part(content)) for ref, content in gathered.items()}
    return all(
        ref in gathered or (ref.kind, ref.partition, _part(content)) not in taken
        for ref, content in candidates.items()
        if ref.kind in _DECISIVE
    )
