"""What a run would cost, before it runs: from what the store's manifests tell of earlier builds. Guesses nothing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from storage import Input, Manifest, inspect
from tasks.engine.earlier import Takeover
from tasks.engine.step import Promise
from tasks.ingest.config import DEV_SHARE, AtlasConfig
from tasks.models.locate import locate_model

_SEARCHED = {"search_dense": "documents", "fuse_vectors": "documents"}  # all of them for each query
_MEASURES = ("batch_plan", "queries", "corpus")  # inputs that rows and time grow with: the first that a step reads
_BUNDLED_WIDTH = 384  # of multilingual-e5-small, whose own format has no config.json


@dataclass(frozen=True)
class Estimate:
    """What one dataset would cost; None: nothing says. `vector_bytes` is exact, and 0 where there are no vectors."""

    step: str
    rows: int | None
    vector_bytes: int | None
    peak_memory: int | None
    seconds: float | None


def estimate(
    promises: Sequence[Promise], root: str, takeovers: Mapping[str, Takeover | None] = MappingProxyType({})
) -> list[Estimate]:
    """Estimate what building some Promises in a store would cost; `takeovers` by fingerprint.

    Rows and time are in proportion to an earlier build of the same step: to its batch plan, queries or corpus, else to
    all that it reads, and less by the rows that an earlier dataset has. Memory is
    the most that a build of this step has taken.
    """
    history = _History(root)
    estimates = []
    for promise in promises:
        rows, memory = history.rows(promise), [build.peak_memory_bytes for build in history.builds(promise)]
        vectors = promise.step.produces == "embeddings"
        vector_bytes = (None if rows is None else rows * 2 * _width(promise)) if vectors else 0
        seconds = history.seconds(promise)
        if seconds and rows and (takeover := takeovers.get(promise.fingerprint)):
            seconds *= 1 - (takeover.rows or 0) / rows
        estimates.append(Estimate(promise.step.name, rows, vector_bytes, max(memory, default=None), seconds))
    return estimates


class _History:
    """What the store has built, and what follows from it."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._manifests = {(ref.partition, ref.fingerprint): manifest for ref, manifest in inspect.datasets(root)}

    def rows(self, promise: Promise) -> int | None:
        """Count a dataset's rows, or say how many it will have."""
        if built := self._find(promise):
            return built.rows
        match promise.step.name:
            case "generate_corpus":
                return int(promise.arguments["config"].documents_per_language)
            case "generate_queries":
                return _num_generated(**promise.arguments)
            case "embed_documents":
                return self.rows(promise.inputs["corpus"])
            case "embed_queries":
                return self.rows(promise.inputs["queries"])
        growth, before = self._growth(promise, _measure(promise)), self._closest_build(promise)
        return round(before.rows * growth) if before and growth is not None else None

    def seconds(self, promise: Promise) -> float | None:
        """Say how long a build will take."""
        measure = "" if promise.step.resource == "jvm" else _measure(promise)  # an index of the corpus, then searches
        growth, before = self._growth(promise, measure), self._closest_build(promise)
        searched = self._growth(promise, _SEARCHED[promise.step.name]) if promise.step.name in _SEARCHED else 1.0
        return before.seconds * growth * searched if before and growth is not None and searched is not None else None

    def builds(self, promise: Promise) -> list[Manifest]:
        """List the earlier builds of a Promise's step."""
        return [manifest for manifest in self._manifests.values() if manifest.step == promise.step.name]

    def _closest_build(self, promise: Promise) -> Manifest | None:
        """Choose a build with the same settings and partition, else the longest; speaks for this one where it can."""

        def closeness(build: Manifest) -> tuple[bool, bool, float]:
            same = _settings(build.arguments, (entry.name for entry in build.inputs)) == settings
            return same, build.partition == promise.partition, build.seconds

        settings, builds = _settings(promise.settings, promise.inputs), self.builds(promise)
        if promise.step.produces == "embeddings":  # other widths and other lengths have other speeds
            width = f"[{_width(promise)}]"
            builds = [build for build in builds if closeness(build)[0] and width in build.columns["vector"]]
        if not promise.inputs:  # files, of which only a build with the same settings tells what is in them
            builds = [build for build in builds if closeness(build)[:2] == (True, True)]
        return max(builds, key=closeness, default=None)

    def _growth(self, promise: Promise, start: str) -> float | None:
        """Divide the rows of the inputs with some names by those of the closest build; None: a number is missing."""
        if (before := self._closest_build(promise)) is None:
            return None
        now = [self.rows(entry) for name, entry in promise.inputs.items() if name.startswith(start)]
        then = [self._find(entry) for entry in before.inputs if entry.name.startswith(start)]
        if None in now or None in then:
            return None
        before_rows = sum(manifest.rows for manifest in then if manifest)
        return sum(rows or 0 for rows in now) / before_rows if before_rows else 1.0

    def _find(self, dataset: Promise | Input) -> Manifest | None:
        return self._manifests.get((dataset.partition, dataset.fingerprint))


def _num_generated(config: AtlasConfig, split: str, validation_share: float = 0.0, **_: object) -> int:
    """Tell about how many queries of a split atlas has: which are held out, together with others, chance decides."""
    train = 1 - DEV_SHARE
    shares = {"dev": DEV_SHARE, "train": train * (1 - validation_share), "validation": train * validation_share}
    return round(config.queries_per_language * shares[split])


def _measure(promise: Promise) -> str:
    """Name the inputs, by how their names start, that rows and time of a dataset are in proportion to."""
    return next((start for start in _MEASURES if any(name.startswith(start) for name in promise.inputs)), "")


def _settings(arguments: dict[str, object], inputs: Iterable[str]) -> dict[str, object]:
    """Leave the datasets out of a step's arguments."""
    read = {name.partition(".")[0] for name in inputs}
    return {name: value for name, value in arguments.items() if name not in read}


def _width(promise: Promise) -> int:
    """Tell how many numbers a vector has, by the encoder that a Promise is or uses."""
    if promise.step.name != "prepare_encoder":
        return _width(promise.inputs["encoder"])
    place = locate_model(promise.arguments["config"].model)
    if place.is_file():
        return _BUNDLED_WIDTH
    return int(json.loads((place / "config.json").read_text(encoding="utf-8"))["hidden_size"])
