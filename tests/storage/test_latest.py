"""The pointer to the model to use, on a disk, on S3 and elsewhere; and `gc`, which keeps what it points at."""

import pytest

from storage import MissingDataset, care, inspect, latest, runs
from storage.latest import Latest
from storage.runs import Run


def pointer(name="nightly", run="20260101-000000-aaaa"):
    return Latest(name=name, run=run, model="model/all/a", metrics="metrics/all/a", metric="nDCG@10", value=0.5)


def test_it_is_replaced_as_a_whole_and_is_no_dataset(root):
    assert latest.read(root, "nightly") is None
    with pytest.raises(MissingDataset, match="Run nightly to the end first"):
        latest.find(root, "nightly")
    for run in ("one", "two"):
        latest.write(root, pointer(run=run))
    latest.write(root, pointer("../other/ü"))
    assert [(one.name, one.run) for one in latest.everyone(root)][1] == ("nightly", "two")
    assert {one.name for one in latest.everyone(root)} == {"../other/ü", "nightly"}
    assert latest.find(root, "nightly").at
    assert list(care.folders(root)) == list(inspect.datasets(root)) == []


def test_gc_keeps_the_run_of_the_model_to_use(root):
    facts = {"name": "nightly", "state": "completed", "started_at": "2026-01-01T00:00:00+00:00"}
    for number in (1, 2, 3):
        runs.write(root, Run(id=f"2026010{number}-000000-aaaa", process=runs.this_process(), **facts))
    assert len(care.waste(root, 1)) == 2
    latest.write(root, pointer())
    (gone,) = care.waste(root, 1)
    assert gone.uri.endswith("20260102-000000-aaaa.json")
