"""The server gone in mid-run, a full and a read-only disk, first starts at once: one line; the command goes on."""

import os
import subprocess
import time

import psutil
import pytest
from support.command import Loom
from support.llm_server import LlmServer
from support.prefect_server import prefect_server

pytestmark = [pytest.mark.slow, pytest.mark.prefect, pytest.mark.timeout(900)]

COMMAND = ["run", "tiny.yaml", "--until", "ingest"]


def last_line(output):
    assert "Traceback" not in output
    return output.strip().splitlines()[-1]


def test_step_that_fails_is_one_line_and_its_traceback_is_told_on_demand(built):
    loom = built[0]
    with LlmServer().serving() as server:
        chat = {"model": "asked-once", "base_url": server.url, "max_calls": 1}
        settings = ["denoise.judge=llm", *(f"denoise.llm.chat.{name}={value}" for name, value in chat.items())]
        command = ["run", "tiny.yaml", *(part for one in settings for part in ("--set", one))]
        output = loom(*command, code=1)
        told = Loom(loom.folder, {**loom.environment, "POLYLOOM_TRACEBACK": "1"})(*command, code=1)
    assert last_line(output).startswith("polyloom: LLM budget: expected at most 1 calls")
    assert output.count("expected at most 1 calls") == 1
    assert "Traceback (most recent call last)" in told


def begun(folder):
    return any(not (place / "manifest.json").exists() for place in folder.glob("data/corpus/*/*"))


def test_run_goes_on_without_its_server_and_ends_in_one_line(make_tiny, tmp_path):
    loom = make_tiny(tmp_path)
    (tmp_path / "server").mkdir()
    with prefect_server(tmp_path / "server", "--no-ui") as url:
        process = Loom(tmp_path, {**loom.environment, "PREFECT_API_URL": url}).start(*COMMAND)
        while process.poll() is None and not begun(tmp_path):
            time.sleep(0.01)
    output, _ = process.communicate()  # the server is gone
    line = last_line(output)
    assert line.startswith(f"polyloom: PREFECT_API_URL: expected Prefect's API to answer at {url}, got: ")
    assert process.returncode == 1
    assert {entry["status"] for entry in loom.run(*COMMAND[1:])["stages"]} == {"cached"}  # it had built all of it


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_full_and_read_only_disk_are_one_line_and_the_rest_goes_on(make_tiny, tmp_path):
    loom = make_tiny(tmp_path)
    (tmp_path / "data").mkdir()

    def mount(options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(tmp_path / "data")], check=True)

    try:
        mount("size=64k")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting is not allowed here")
    try:
        full = last_line(loom(*COMMAND, code=1))
        assert full.startswith(f"polyloom: {tmp_path / 'data'}/")
        assert "expected room on the disk, got ENOSPC (No space left on device). Make room and run the same" in full
        mount("remount,ro,size=64m")
        assert "expected a place that can be written to, got EROFS" in last_line(loom(*COMMAND, code=1))
        mount("remount,rw,size=64m")
        assert loom.run(*COMMAND[1:])["stages"]
    finally:
        subprocess.run(["umount", str(tmp_path / "data")], check=True)


def own_server(process):
    """Find the server that a run has started for itself."""
    return next(one for one in psutil.Process(process.pid).children() if "uvicorn" in " ".join(one.cmdline()))


def test_first_starts_at_once_on_a_new_home_end_well_and_that_whose_server_is_killed_in_a_line(make_tiny, tmp_path):
    looms = []
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        loom = make_tiny(tmp_path / name)
        environment = {key: value for key, value in loom.environment.items() if key != "PREFECT_API_URL"}
        looms.append(Loom(tmp_path / name, {**environment, "PREFECT_HOME": str(tmp_path / "home")}))
    processes = [loom.start(*COMMAND) for loom in looms]
    while processes[2].poll() is None and not begun(tmp_path / "three"):
        time.sleep(0.01)
    own_server(processes[2]).kill()
    killed = time.monotonic()
    processes[2].wait()
    assert time.monotonic() - killed < 100  # 10 s on a quiet machine; with Prefect's own patience 280
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 1], outputs
    assert last_line(outputs[2]).startswith("polyloom: Prefect: expected the run's own server to answer at http://127.")


def test_store_that_is_a_file_is_one_line(make_tiny, tmp_path):
    loom = make_tiny(tmp_path)
    (tmp_path / "data").write_text("here was something before")
    line = last_line(loom(*COMMAND, code=1))
    assert line.startswith(f"polyloom: {tmp_path / 'data'}: expected a folder, got EEXIST (File exists). Move the file")
