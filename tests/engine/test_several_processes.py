"""Four processes that build the same datasets at once: each is built once, also where all refresh it."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)

TESTS = Path(__file__).parents[1]
NUM_PROCESSES = 4
CODE = """
import json, sys, time
from pathlib import Path
from support import loom
from support.loom import SURROUNDINGS, NumberConfig, double_numbers, make_numbers, sum_numbers, train_numbers
from tasks.engine.build import build, commit_number

root, refresh, number = sys.argv[1], sys.argv[2] == "refresh", int(sys.argv[3])
loom.BEFORE_READING.append(lambda: time.sleep(0.3))
made = {name: make_numbers(name, config=NumberConfig(values=(3, 4))) for name in ("en", "sw", "fi")}
doubled = {name: double_numbers(name, numbers=one, factor=2) for name, one in made.items()}
trained = train_numbers("en", numbers=doubled["en"])
last = [train_numbers("sw", numbers=trained), sum_numbers(parts={**doubled, "trained": trained})]
promises = [*made.values(), *doubled.values(), trained, *last]
replaces = {one: commit_number(one, root) if refresh else None for one in promises}
Path(f"{root}-ready-{sys.argv[2]}-{number}").touch()
while not Path(f"{root}-go-{sys.argv[2]}").exists():
    time.sleep(0.01)
answers = {}
for one in promises:
    manifest, why = build(one, root, SURROUNDINGS, replaces=replaces[one])
    answers[str(one.ref(root))] = (manifest.content, why)
print(json.dumps(answers))
"""


def run_at_once(root: str, name: str) -> list[dict[str, list[str]]]:
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CODE, root, name, str(number)], env=environment, stdout=subprocess.PIPE, text=True
        )
        for number in range(NUM_PROCESSES)
    ]
    while not all(Path(f"{root}-ready-{name}-{number}").exists() for number in range(NUM_PROCESSES)):
        time.sleep(0.01)
    Path(f"{root}-go-{name}").touch()
    told = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * NUM_PROCESSES
    return [json.loads(text) for text in told]


def test_each_dataset_is_built_once_and_once_again_when_all_refresh(tmp_path):
    root = str(tmp_path / "store")
    contents = set()
    for name, why in (("fresh", "not built"), ("refresh", "refresh")):
        answers = run_at_once(root, name)
        reasons = Counter((key, reason) for told in answers for key, (_, reason) in told.items())
        assert len(answers[0]) == 9
        assert reasons == {
            **{(key, why): 1 for key in answers[0]},
            **{(key, "cached"): NUM_PROCESSES - 1 for key in answers[0]},
        }
        contents |= {(key, content) for told in answers for key, (content, _) in told.items()}
    assert len(contents) == 9
