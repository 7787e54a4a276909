"""Records of runs: their ids, how one is found, and what is said of a run whose process is gone."""

import datetime
import os
import subprocess
import sys

import pytest

from storage import MissingDataset, runs
from storage.runs import Run


@pytest.fixture
def put(tmp_path):
    """Return a function that writes a record."""

    def write(run_id: str, state: str = "completed", name: str = "quick", **facts: object) -> Run:
        run = Run(id=run_id, name=name, state=state, started_at="2026-01-01T00:00:00+00:00", **facts)
        runs.write(str(tmp_path), run)
        return run

    return write


def test_ids_sort_by_start_even_where_the_clock_was_put_back(put, tmp_path):
    future = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=400)
    put(f"{future:%Y%m%d-%H%M%S}-ffff")
    first = runs.new_id(str(tmp_path))
    put(first)
    second = runs.new_id(str(tmp_path))
    put(second)
    assert [run.id for run in runs.runs(str(tmp_path))] == [second, first, f"{future:%Y%m%d-%H%M%S}-ffff"]


def test_a_record_is_read_as_written_and_a_torn_file_is_none(put, tmp_path):
    run = put("20260101-000000-aaaa", changed={"plan_batches.seed": 7}, metrics=[{"metric": "nDCG@10", "value": 0.5}])
    (tmp_path / "runs" / ".tmp-1").write_text("{")
    assert runs.runs(str(tmp_path)) == [run]
    (tmp_path / "runs" / f"{run.id}.json").write_text("{")
    with pytest.raises(MissingDataset, match="expected the record of a run, got 1 errors. Remove the file."):
        runs.read(str(tmp_path), run.id)


def test_latest_and_names_are_the_last_completed_run(put, tmp_path):
    done = put("20260101-000000-aaaa")
    other = put("20260102-000000-bbbb", name="other")
    put("20260103-000000-cccc", state="failed")
    assert runs.find(str(tmp_path), "latest") == other
    assert runs.find(str(tmp_path), "quick") == done
    assert runs.find(str(tmp_path), "20260103").state == "failed"
    assert runs.find(str(tmp_path), "aaaa") == done
    with pytest.raises(MissingDataset, match="expected one, got 3: .* Write more of its id."):
        runs.find(str(tmp_path), "2026")
    with pytest.raises(MissingDataset, match="run 'nothing': expected a completed run in .*, found none"):
        runs.find(str(tmp_path), "nothing")


@pytest.mark.parametrize(("minutes", "state"), [(5, "running"), (65, "killed"), (None, "running")])
@pytest.mark.parametrize("process", ["elsewhere 1 1", "", "elsewhere"])
def test_a_run_of_another_machine_that_has_said_nothing_for_an_hour_was_killed(put, tmp_path, minutes, state, process):
    said = minutes and datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=minutes)
    run = put("20260101-000000-aaaa", state="running", process=process, alive_at=said)
    assert runs.read(str(tmp_path), run.id).state == state


def test_a_report_lies_in_the_store_of_its_run_wherever_that_was_moved_to(put, tmp_path):
    run = put("20260101-000000-aaaa", report="/before/reports/20260101-000000-bbbb.html")
    assert runs.read(str(tmp_path), run.id).report == runs.report_uri(str(tmp_path), "20260101-000000-bbbb")


def test_the_run_before_is_one_that_went_as_far(put, tmp_path):
    whole = put("20260101-000000-aaaa")
    part = put("20260102-000000-bbbb", until="denoise")
    put("20260102-000001-bbcc", until="ingest")
    put("20260103-000000-cccc", state="failed")
    put("20260104-000000-dddd", name="other")
    assert runs.before(str(tmp_path), put("20260105-000000-eeee")) == whole
    assert runs.before(str(tmp_path), put("20260106-000000-ffff", until="denoise")).id == "20260105-000000-eeee"
    assert runs.before(str(tmp_path), put("20260102-000002-bbdd", until="denoise")) == part
    assert runs.before(str(tmp_path), whole) is None


def test_a_run_whose_process_is_gone_was_killed(put, tmp_path):
    program = "from storage.runs import this_process; print(this_process(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        run = put("20260101-000000-aaaa", state="running", process=child.stdout.readline().strip())
        assert runs.read(str(tmp_path), run.id).state == "running"
        child.kill()
    assert runs.read(str(tmp_path), run.id).state == "killed"


def test_of_another_machines_or_a_later_process_with_the_same_number_is_not_taken_for_it(put, tmp_path):
    host, pid, started = runs.this_process().rsplit(" ", 2)
    assert int(pid) == os.getpid()
    run = put("20260101-000000-aaaa", state="running", process=f"{host} {pid} {int(started) + 1}")
    assert runs.read(str(tmp_path), run.id).state == "killed"
    run = put("20260101-000000-aaaa", state="running", process="elsewhere 1 1")
    assert runs.read(str(tmp_path), run.id).state == "running"


@pytest.mark.parametrize(
    "name", ["notes.json", "20269999-999999-abcd.json", ".tmp-0", "x.txt", "99991231-235959-zz.json"]
)
def test_foreign_files_among_the_records_hinder_no_run(tmp_path, name):
    folder = tmp_path / runs.FOLDER
    folder.mkdir()
    (folder / name).write_text("not of polyloom")
    assert runs.runs(str(tmp_path)) == []
    assert not runs.new_id(str(tmp_path)).startswith("9999")


def test_a_record_that_cannot_be_read_is_named_and_hides_no_other(put, tmp_path, caplog):
    done = put("20260101-000000-aaaa")
    broken = tmp_path / "runs" / "20260102-000000-bbbb.json"
    broken.write_text("{")
    assert runs.runs(str(tmp_path)) == [done]
    assert runs.find(str(tmp_path), "latest") == done
    assert f"{broken}: expected the record of a run, got 1 errors. Remove the file." in caplog.text
