"""One call on a machine with a GPU: tests, then measurements, each part a process with a time limit; then the tables.

Results are appended to OUT/results.jsonl as they come, so that a call that is cut off keeps what it has measured. A
part that fails or is too late leaves a line and does not stop the others. On a CPU everything is tiny, and proves only
that it runs. Ends with 0 if every part did what it should.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from tables import tables

HERE = Path(__file__).parent
PARTS = {"card": 30, "tests": 75, "embedding": 85, "scoring": 45, "searching": 25, "training": 190}  # seconds of 450


def main() -> int:
    """Run the parts; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--carry", type=Path, required=True, help="folder that prepare.py made; run.sh gives it")
    parser.add_argument("--out", type=Path, default=Path("gpu-call"), help="folder for results and scratch files")
    parser.add_argument("--limit", type=float, default=450.0, help="seconds for all; parts get their shares")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.jsonl"
    results.unlink(missing_ok=True)
    end = time.monotonic() + options.limit
    failed = []
    for part in options.parts:
        seconds = min(PARTS[part] * options.limit / sum(PARTS.values()), end - time.monotonic())
        status, took = run_part(part, options, seconds)
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"what": "part", "part": part, "status": status, "seconds": round(took, 1)}) + "\n")
        if status:
            failed.append(part)
    table = tables([json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()])
    (options.out / "table.txt").write_text(table, encoding="utf-8")
    sys.stdout.write(table)
    return 1 if failed else 0


def run_part(part: str, options: argparse.Namespace, seconds: float) -> tuple[int | str, float]:
    """Run a part in a process; return its exit status, or that it was too late, and how long it took."""
    arguments = ["--carry", options.carry, "--out", options.out, "--device", options.device]
    command = [str(HERE / f"{part}.py"), *map(str, arguments)]
    if part == "tests":
        folder = HERE.parents[1] / "tests" / "gpu"
        command = ["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-c", str(HERE / "pytest.ini"), str(folder)]
    begin = time.monotonic()
    with (options.out / f"{part}.txt").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, "POLYLOOM_DEVICE": options.device},
            start_new_session=True,
        )
        try:
            status = process.wait(max(seconds, 1))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # what it has started too
            process.wait()
            return f"stopped after {seconds:.0f} s", seconds
    if status or part == "tests":
        lines = (options.out / f"{part}.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        sys.stdout.write(f"{part}: " + "\n".join(lines[-40 if status else -1 :]) + "\n")
    return status, time.monotonic() - begin


if __name__ == "__main__":
    sys.exit(main())
