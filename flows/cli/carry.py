"""Out of the store and onto other machines: the finished model, or all that its training reads."""

import json
import shutil
from pathlib import Path

from flows.configs import PipelineConfig
from flows.weave import weave
from storage import DatasetRef, checkout, inspect, latest
from tasks.engine.build import state
from tasks.engine.step import Promise, deferred
from tasks.train.checksums import write_packed
from tasks.train.config import write_settings

_PACKAGE = Path(__file__).parents[1] / "tasks"
_CODE = ("__init__.py", "train/*.py", "models/*.py")  # all that `tasks.train.launch` imports, and little more
_SCRIPT = """#!/bin/sh
# Trains here; needs torch, transformers, safetensors, tokenizers, numpy and pyarrow. Several GPUs: NPROC=8 sh train.sh
# Several machines, each with its own rank, in a folder that they share:
#   TORCHRUN="--nnodes=2 --node-rank=0 --master-addr=first --master-port=29500" NPROC=8 sh train.sh
cd "$(dirname "$0")"
export PYTHONPATH=code
start="python -m"
together="torch.distributed.run ${TORCHRUN:---standalone} --nproc-per-node=${NPROC:-1}"
[ "${NPROC:-1}$TORCHRUN" = 1 ] || start="$start $together -m"
exec $start tasks.train.launch %s --recipe recipe.json --packed packed.json --out out "$@"
"""

train_task = deferred("tasks.train.task")  # loads torch


def export_model(config: PipelineConfig, to: Path, *, force: bool = False, last_good: bool = False) -> None:
    """Copy a model with its card out of the store; `last_good` and what it raises as `stored_model`.

    Raises:
        ValueError: there is something at `to` that `force` does not replace.
    """
    model = stored_model(config, last_good=last_good)
    _make_way(to, "modules.json", force=force)
    shutil.copytree(checkout(model) / "model", to)


def stored_model(config: PipelineConfig, *, last_good: bool) -> DatasetRef:
    """Return the finished model of these settings, or the last good one of this pipeline's name.

    Raises:
        ValueError: it is not built.
        MissingDataset: no model of this name has won yet.
    """
    root = config.storage.location
    if last_good:
        return inspect.resolve(root, latest.find(root, config.name).model)
    promise = _promise(config, "model")
    _check_built(promise, root)
    return promise.ref(root)


def pack_training(config: PipelineConfig, to: Path, *, force: bool = False) -> None:
    """Copy all that the training reads into a folder, with the code and a script that trains there.

    Raises:
        ValueError: a dataset that it reads is not built, or there is something at `to` that `force` does not replace.
    """
    root = config.storage.location
    promise = _promise(config, "training_log")
    for needed in promise.inputs.values():
        _check_built(needed, root)
    _make_way(to, "train.sh", force=force)
    given = {name: value for name, value in promise.resolve(root).items() if name != "config"}
    words = []
    for option, folders in train_task.training_inputs(**given).named().items():
        names = [f"{option}-{number}" if len(folders) > 1 else option for number in range(len(folders))]
        for folder, name in zip(folders, names, strict=True):
            _copy_dataset(folder, to / name)
        words += [f"--{option}", *names] if names else []
    for pattern in _CODE:
        for file in _PACKAGE.glob(pattern):
            target = to / "code" / "tasks" / file.relative_to(_PACKAGE)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    write_settings(config.train, to / "recipe.json")
    (to / "train.sh").write_text(_SCRIPT % " ".join(words), encoding="utf-8")
    write_packed(to)


def _copy_dataset(folder: Path, to: Path) -> None:
    """Copy what the manifest lists; other files in a dataset's folder are none of it."""
    content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for file in ["manifest.json", *(entry["name"] for entry in [*content["parts"], *content["files"]])]:
        (to / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / file, to / file)


def _promise(config: PipelineConfig, kind: str) -> Promise:
    found = [promise for promise in weave(config).promises if promise.step.produces == kind]
    if not found:
        raise ValueError(
            f"{kind}: expected train queries to make it from, got none. Name their split in ingest.train_split."
        )
    return found[0]


def _check_built(promise: Promise, root: str) -> None:
    stored = state(promise, root)
    if not stored.cached:
        raise ValueError(f"{promise}: expected it in the store, got: {stored.reason}. Run this configuration first.")


def _make_way(to: Path, mark: str, *, force: bool) -> None:
    """Remove an earlier folder of the same sort, known by a file in it; nothing else is ever removed."""
    if not to.exists():
        return
    if not force:
        raise ValueError(f"--to: expected a folder that is not there yet, got {to}. Name another one, or add --force.")
    if not (to / mark).is_file():
        raise ValueError(f"--force: expected a folder with {mark} to replace, got {to}. Name another one.")
    shutil.rmtree(to)
