"""Builds of a pipeline that are killed again and again: `python -m support.killed_builds CONFIG ROOT NUM_KILLS`.

Each try is a fork of this process, which has loaded all that steps need: so a kill costs little more than the work
that it spoils. Prints as JSON in which steps the kills came, and what each completed store holds.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from support.in_process import build_missing

from flows.configs import load_config
from flows.run.pipeline import Pipeline
from flows.weave import weave
from storage import load


def main(config: str, root: str, num_kills: int) -> None:
    """Kill builds shortly after they have written some files; begin anew when all is built."""
    pipeline = weave(load_config(Path(config), (f"storage.root={root}",)))
    for promise in pipeline.promises:
        assert promise.step.body
    data, killed, contents = Path(root), Counter[str](), []
    draw = random.Random(0)
    while sum(killed.values()) < num_kills:
        if killed_in_a_fork(pipeline, data, draw.randint(1, max(600 // num_kills, 2)), draw.random() * 0.2):
            at_work = sorted(data.glob("*/*/*/scratch"), key=lambda path: path.stat().st_mtime)
            killed[at_work[-1].parts[-4] if at_work else "between builds"] += 1
        else:
            contents.append(contents_of(pipeline, root))
            shutil.rmtree(data)
    build_missing(pipeline, root)
    contents.append(contents_of(pipeline, root))
    sys.stdout.write(json.dumps({"killed": killed, "contents": contents}) + "\n")


def killed_in_a_fork(pipeline: Pipeline, data: Path, wanted: int, pause: float) -> bool:
    before = files(data)
    child = os.fork()
    if child == 0:
        build_missing(pipeline, str(data))
        os._exit(0)
    ended = 0
    while not ended and len(files(data) - before) < wanted:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.002)
    if not ended:
        time.sleep(pause)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), f"expected a kill or success, got status {status}"
    return status == signal.SIGKILL


def files(data: Path) -> set[Path]:
    return {path for path in data.glob("*/*/*/*") if path.name[:5] not in ("lock", ".tmp-")}


def contents_of(pipeline: Pipeline, root: str) -> dict[str, str]:
    return {str(promise.ref(root)): load(promise.ref(root)).content for promise in pipeline.promises}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
