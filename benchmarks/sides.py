"""Call a function in a process of its own and measure it: `python benchmarks/sides.py MODULE FUNCTION JSON`."""

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]


def measured_apart(module: str, function: str, *, threads: int, **arguments: Any) -> dict[str, Any]:
    """Call `module.function(**arguments)` in a new process.

    Returns:
        wall_seconds and cpu_seconds of the call (not of the imports), before_bytes (resident when it began), peak_bytes
        (of the whole process) and the function's `result`.

    Raises:
        RuntimeError: the process failed; says how.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)}
    environment |= {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'benchmarks'}", "POLARS_MAX_THREADS": str(threads)}
    command = [sys.executable, __file__, module, function, json.dumps(arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"{module}: expected a measurement, got exit status {done.returncode}:\n{done.stderr[-3000:]}"
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measure(module: str, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
    call = getattr(importlib.import_module(module), function)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    wall, cpu = time.monotonic(), time.process_time()
    result = call(**arguments)
    return {
        "wall_seconds": time.monotonic() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "before_bytes": pages * resource.getpagesize(),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "result": result,
    }


if __name__ == "__main__":
    answer = _measure(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
