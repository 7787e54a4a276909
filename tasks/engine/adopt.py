"""After an upgrade: datasets whose code alone has moved are compared with what today's code makes, and taken over.

An earlier dataset may stand for a promised one if its step, partition and settings are the same and its inputs held
the same content. Where the step's own code is the same, nothing is left to compare. Else shards that are spread over
the dataset are computed anew, or all of it where that is quick, in a temporary place; what is equal is linked under
its new name. The earlier dataset stays as it is.
"""

import contextlib
import json
import logging
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import polars as pl

from storage import (
    AlreadyCommitted,
    DamagedDataset,
    DatasetRef,
    Input,
    Manifest,
    MissingDataset,
    Part,
    Writer,
    backend,
    commit,
    inspect,
)
from storage.manifest import Adopted
from storage.reader import sound_path
from tasks.engine.build import Surroundings, recorded_input, state
from tasks.engine.step import Promise
from tasks.engine.turn import turn

_ASKS_AN_LLM = ("judge_pairs", "generate_from_positives")  # never twice alike, and for money
_NAMES_ITS_INPUTS = ("export_model",)  # in the model's card: made again in a second, with today's names
Around = Callable[[Promise], AbstractContextManager[Surroundings]]
EQUAL, EQUAL_ROWS = "equal", "equal rows, other bytes"
WAITS = "an input is to be built first"


@dataclass(frozen=True)
class Finding:
    """What becomes of one dataset that is not in the store under its new name."""

    promise: Promise
    result: Literal["taken", "differs", "left"]
    """Without surroundings `taken` means: if all that would be compared is equal."""
    why: str
    """Where it is taken: EQUAL, EQUAL_ROWS, `same code` or `trusted`; else what differs, or is in the way."""
    earlier: Manifest | None = None
    sample: tuple[int, ...] = ()
    """The shards that are computed anew."""

    def adopted(self) -> Adopted | None:
        """Return the manifest's line, where the dataset is taken over."""
        if self.earlier is None or self.result != "taken":
            return None
        return Adopted(
            fingerprint=self.earlier.fingerprint,
            code=self.earlier.code,
            why=self.why,
            compared_parts=len(self.sample),
            compared_rows=sum(self.earlier.parts[shard].rows for shard in self.sample),
        )


def adopt(
    promises: Iterable[Promise],
    root: str,
    *,
    at_most: float,
    trusted: Collection[str] = (),
    surroundings: Around | None = None,
) -> Iterator[Finding]:
    """Compare and take over, inputs first; says what became of each dataset that is not there.

    Args:
        promises: of a pipeline, in order.
        root: the store.
        at_most: seconds for comparing a dataset, as its manifest tells them; of one in shards, one is always compared.
        trusted: names of steps whose datasets are taken over without comparing.
        surroundings: for computing a Promise's rows, once its share of the machine is free. None: say what would be
            compared, and do nothing.
    """
    stored: dict[tuple[str, str, str], list[Manifest]] = {}
    for ref, manifest in inspect.datasets(root):
        stored.setdefault((ref.kind, ref.partition, manifest.step), []).append(manifest)
    contents: dict[str, str] = {}  # by a dataset's name: what it holds, or will hold
    for promise in promises:
        if there := state(promise, root).manifest:
            contents[_name(promise)] = there.content
            continue
        same = stored.get((promise.step.produces, promise.partition, promise.step.name), [])
        finding = _choose(promise, same, contents, at_most, trusted)
        if (earlier := finding.earlier) and surroundings is not None:
            try:
                finding = _compare(finding, earlier, root, surroundings) if finding.sample else finding
                if finding.result == "taken":
                    _take(finding, earlier, root)
            except (DamagedDataset, MissingDataset) as gone:  # `gc` may have been there
                finding = Finding(promise, "left", str(gone))
        if earlier and finding.result == "taken":
            contents[_name(promise)] = earlier.content
        yield finding


def _choose(
    promise: Promise, same: list[Manifest], contents: Mapping[str, str], at_most: float, trusted: Collection[str]
) -> Finding:
    """Choose the earlier dataset that may stand for a Promise's, of the same code first, the newest of them."""
    names = [_name(entry) for entry in promise.inputs.values()]
    if not all(name in contents for name in names):
        return Finding(promise, "left", WAITS)
    wanted = _made_of(promise.settings, {name: contents[name] for name in names})
    alike = [one for one in same if wanted == _made_of(one.arguments, {_name(i): i.content for i in one.inputs})]
    if not alike:
        return Finding(promise, "left", "none of these settings and inputs")
    earlier, step = max(alike, key=lambda one: (one.code == promise.step.code, one.age)), promise.step.name
    number = len(earlier.parts)
    if step in trusted:
        return Finding(promise, "taken", "trusted", earlier)
    if step in _NAMES_ITS_INPUTS:
        return Finding(promise, "left", "its files name its inputs")
    if earlier.code == promise.step.code:
        return Finding(promise, "taken", "same code", earlier)
    if step in _ASKS_AN_LLM:
        return Finding(promise, "left", f"asks an LLM: --trust {step}")
    if earlier.seconds <= at_most:
        return Finding(promise, "taken", EQUAL, earlier, tuple(range(number)))
    if not promise.step.sharded or earlier.files or number == 1:
        return Finding(promise, "left", f"takes {earlier.seconds:,.1f} s: --at-most, --trust")
    few = max(1, int(at_most / earlier.seconds * number))
    return Finding(promise, "taken", EQUAL, earlier, tuple((2 * one + 1) * number // (2 * few) for one in range(few)))


def _name(dataset: Promise | Input) -> str:
    kind = dataset.step.produces if isinstance(dataset, Promise) else dataset.kind
    return f"{kind}/{dataset.partition}/{dataset.fingerprint}"


def _made_of(arguments: Mapping[str, object], contents: Mapping[str, str]) -> str:
    """Write arguments with the inputs' content in place of their names."""
    text = json.dumps(arguments, sort_keys=True)
    for name, content in contents.items():
        text = text.replace(json.dumps(name), json.dumps(content))
    return text


def _compare(finding: Finding, earlier: Manifest, root: str, surroundings: Around) -> Finding:
    """Compute the sample anew, and say what differs."""
    promise, folder = finding.promise, backend.spool(f"{root}/adopt")  # `gc` knows such names, should this be killed
    is_whole, asked = len(finding.sample) == len(earlier.parts), set[int]()

    def share(shard: int) -> bool:
        asked.add(shard)
        return is_whole or shard in finding.sample

    try:
        (folder / "work").mkdir(parents=True)
        writer = Writer(promise.ref(str(folder)), share)
        with surroundings(promise) as given:
            promise.run(given.job(promise.step.name, writer, folder / "work", given.progress), root)
        if is_whole:
            writer.check()
        why = _difference(finding, earlier, promise.ref(root), writer, len(writer.parts) if is_whole else len(asked))
        return replace(finding, result="taken" if why in (EQUAL, EQUAL_ROWS) else "differs", why=why)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _difference(finding: Finding, earlier: Manifest, ref: DatasetRef, writer: Writer, number: int) -> str:
    """Say what differs, or that nothing does; rows can be the same where a library writes other bytes for them."""
    if number != len(earlier.parts):
        return f"{number} parts instead of {len(earlier.parts)}"
    source = ref.model_copy(update={"fingerprint": earlier.fingerprint})
    parts = [earlier.parts[shard] for shard in finding.sample]
    other_bytes = [pair for pair in zip(writer.parts, parts, strict=True) if pair[0].sha256 != pair[1].sha256]
    if unlike := sum(_unlike_rows(writer.ref, source, *pair) for pair in other_bytes):
        return f"{unlike:,} of {sum(part.rows for part in parts):,} rows differ"
    files, before = ({(file.name, file.sha256) for file in listed} for listed in (writer.files, earlier.files))
    if changed := sorted({name for name, _ in files ^ before}):
        return f"{len(changed)} files differ ({changed[0]})"
    return EQUAL_ROWS if other_bytes else EQUAL


def _unlike_rows(ref: DatasetRef, source: DatasetRef, part: Part, other: Part) -> int:
    new = pl.read_parquet(Path(ref.uri, part.name), glob=False)
    old = pl.read_parquet(sound_path(source, other), glob=False)
    if new.schema != old.schema or new.height != old.height:
        return max(new.height, old.height)
    beside = pl.concat([new, old.rename(lambda name: f"earlier {name}")], how="horizontal")
    unlike = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"earlier {name}")) for name in new.columns)
    return beside.filter(unlike).height


def _take(finding: Finding, earlier: Manifest, root: str) -> None:
    """Link parts and files under the new name, and commit; a kill before the manifest leaves nothing that counts."""
    promise = finding.promise
    ref = promise.ref(root)
    with turn(ref, logging.getLogger(f"polyloom.{promise.step.name}")):
        now = state(promise, root)
        if now.cached:  # another process was first
            return
        writer = Writer(ref)
        writer.adopt(ref.model_copy(update={"fingerprint": earlier.fingerprint}))
        with contextlib.suppress(AlreadyCommitted):
            commit(
                writer,
                only_new=now.reason == "not built",
                step=promise.step.name,
                code=promise.step.code,
                arguments=promise.settings,
                inputs=[recorded_input(name, entry, root) for name, entry in promise.inputs.items()],
                versions=earlier.versions,
                created_at=earlier.created_at,
                seconds=earlier.seconds,
                peak_memory_bytes=earlier.peak_memory_bytes,
                adopted=finding.adopted(),
            )
