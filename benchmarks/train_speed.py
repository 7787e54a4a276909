"""Training throughput: this project's trainer beside sentence-transformers', same model, texts, batch and lengths.

    python benchmarks/train_speed.py --quad16 ../shared/quad16 --layers 6 --threads 2

Each side trains in a process of its own, in turns. The first step is not counted. Wall seconds and CPU seconds (of all
threads): where other jobs run, the latter say more. Without --quad16 the texts are atlas's.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from train_inputs import write_inputs

HERE = Path(__file__).parent
out = Console(width=150, highlight=False)


def main() -> None:
    """Prepare the texts, run the sides in turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quad16", type=Path, help="folder of quad16")
    parser.add_argument("--language", default="sw")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--negatives", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--query-tokens", type=int, default=64)
    parser.add_argument("--document-tokens", type=int, default=256)
    parser.add_argument("--chunk-tokens", type=int, default=1024)
    parser.add_argument("--mini-batch", type=int, default=8, help="texts at once in sentence-transformers' cached loss")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sides", nargs="*", default=["ours plain", "theirs plain", "ours cached", "theirs cached"])
    options = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in options.sides}
    with tempfile.TemporaryDirectory() as name:
        write_inputs(
            Path(name),
            quad16=options.quad16,
            language=options.language,
            num_rows=options.batch * options.steps,
            num_negatives=options.negatives,
            num_layers=options.layers,
        )
        for turn in range(options.rounds):
            for side in options.sides if turn % 2 == 0 else reversed(options.sides):
                found[side].append(run_side(side, Path(name), options))
                summary = summarise(found[side][-1], options.batch)
                out.print(
                    f"round {turn + 1}, {side}: " + ", ".join(f"{key} {value:.3f}" for key, value in summary.items())
                )
    report(found, options.batch)


def run_side(side: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Train once, in a process of its own.

    Raises:
        RuntimeError: it failed; says how.
    """
    who, mode = side.split()
    at_once = options.chunk_tokens if who == "ours" else options.mini_batch
    arguments = [folder, options.batch, options.query_tokens, options.document_tokens, at_once, mode, "cpu"]
    done = subprocess.run(
        [sys.executable, str(HERE / f"train_{who}.py"), *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": str(options.threads), "PYTHONPATH": f"{HERE.parent}:{HERE}"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{side}: expected a measurement, got exit status {done.returncode}:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def summarise(result: dict[str, Any], batch: int) -> dict[str, float]:
    """Return medians per step, the first one left out, and the peak."""
    times = result["times"]
    wall, cpu = (
        statistics.median(after[kind] - before[kind] for before, after in zip(times[1:], times[2:], strict=False))
        for kind in (0, 1)
    )
    return {"wall_s": wall, "cpu_s": cpu, "queries_per_s": batch / wall, "peak_mb": result["peak_mb"]}


def report(found: dict[str, list[dict[str, Any]]], batch: int) -> None:
    """Print the median round of each side, its ratio to ours, and the padding."""
    table = Table(
        "side", "wall s/step", "CPU s/step", "queries/s", "ours is faster (wall)", "(CPU)", "peak MB", "losses"
    )
    middle = {
        side: {
            key: statistics.median(summarise(one, batch)[key] for one in results)
            for key in summarise(results[0], batch)
        }
        for side, results in found.items()
    }
    for side, values in middle.items():
        ours = middle.get("ours cached" if "cached" in side else "ours plain", values)
        table.add_row(
            side,
            f"{values['wall_s']:.2f}",
            f"{values['cpu_s']:.2f}",
            f"{batch / values['wall_s']:.2f}",
            f"{values['wall_s'] / ours['wall_s']:.2f} x",
            f"{values['cpu_s'] / ours['cpu_s']:.2f} x",
            f"{values['peak_mb']:.0f}",
            " ".join(f"{loss:.3f}" for loss in found[side][0]["losses"][:3]),
        )
    out.print(table)
    for results in found.values():
        if "padding" in results[0]:
            shares = ", ".join(f"{name} {share:.1%}" for name, share in results[0]["padding"].items())
            out.print(f"padding: {shares}; {results[0]['tokens_per_step']:.0f} tokens a step")
            out.print(f"tokenizing all once: {results[0]['tokenize_seconds']:.2f} s")
            break


if __name__ == "__main__":
    main()
