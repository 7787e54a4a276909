"""Why a dataset would be built: what is not as it was when the last one of its kind and purpose was."""

import functools
from collections.abc import Sequence
from operator import getitem
from pathlib import Path
from typing import Any

from flows.configs import PipelineConfig
from flows.run.record import differing, plain, write_value
from storage import DatasetRef, Manifest, find
from storage.runs import Run
from storage.telling import Telling, tell_stored
from tasks.engine.step import Promise
from tasks.engine.told import told


def why(promise: Promise, config: PipelineConfig, earlier: Sequence[Run]) -> str:
    """Say why a dataset is not there yet, by the last dataset of the same step, partition and purpose.

    Args:
        promise: of the dataset.
        config: its settings, for their names.
        earlier: the runs of its store, the newest first.
    """
    root, purpose = config.storage.location, _purpose(told(promise, by_model=False))
    seen: set[DatasetRef] = set()
    for run in earlier:
        built: list[Manifest] = []
        for one in run.datasets:
            ref = one.ref(root)
            if (one.step, one.partition) == (promise.step.name, promise.partition) and ref not in seen:
                seen.add(ref)
                if (content := find(ref)) and _purpose(tell_stored(ref)) == purpose:
                    built.append(content)
        if built:
            before = min(built, key=lambda one: len(differing(promise.settings, one.arguments)))
            return _differs(promise, config, before, run)
    return "not built before"


def _purpose(one: Telling) -> tuple[str, str]:
    """Name what datasets of one step and partition are for: which queries, and the system where it is no setting."""
    return one.split, one.system if one.kind in ("candidates", "run", "metrics") or one.system == "trained" else ""


def _differs(promise: Promise, config: PipelineConfig, before: Manifest, run: Run) -> str:
    """Say what is not as it was when a dataset was built, by a run's names of settings."""
    reasons = [f"code of {promise.step.name} changed"] if before.code != promise.step.code else []
    changed, inputs = differing(plain(config), run.settings), []
    for name, (now, then) in differing(promise.settings, before.arguments).items():
        leaf = name.rpartition(".")[2]
        called = [one for one in changed if one.rpartition(".")[2] == leaf]
        if name in promise.inputs or any(one.startswith(f"{name}.") for one in promise.inputs):
            inputs.append(f"input {name} changed")
        elif leaf == "files":
            reasons.append(_changed_files(promise, name, then))
        elif leaf in ("digest", "digests"):
            reasons.append("the model's files changed")
        else:
            reasons.append(f"{called[0] if called else name} {write_value(then)} → {write_value(now)}")
    return ", ".join(reasons or inputs[:1]) or "gone from the store"


def _changed_files(promise: Promise, name: str, then: Any) -> str:
    """Name the files of a source, such as `queries.train.files`, that are not what they were."""
    first, *inner = name.split(".")[:-1]
    source = functools.reduce(getitem, inner, promise.arguments[first])
    known = {file["digest"] for file in then or ()}
    new = [Path(file.path).name for file in source.files if file.digest not in known]
    if not new:
        return "fewer input files"
    return f"input file {new[0]} changed" + (f", and {len(new) - 1} more" if new[1:] else "")
