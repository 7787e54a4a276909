"""Mine hard negatives: our stages beside sentence_transformers.util.mine_hard_negatives, on the same part of quad16.

    python benchmarks/mining.py --quad16 ../shared/quad16 --language sw --judged

Each side runs in a process of its own, in turns; times hold loading the models, not importing the libraries. Ours
includes writing every dataset with its checksum. CPU seconds say more than wall seconds where other jobs run.
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

from mining_inputs import Inputs, Part
from mining_sides import SIDES, measure, surroundings
from rich.console import Console

REPOSITORY = Path(__file__).parents[1]
out = Console(width=160, highlight=False)


def main() -> None:
    """Prepare the inputs, then run the sides in turns, or one side of such a run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quad16", default=os.environ.get("QUAD16"), help="folder of quad16")
    parser.add_argument("--language", default="sw")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--documents", type=int, default=3000)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--top-k", type=int, default=20)
    parser.add_argument("--judged", action="store_true", help="with a cross-encoder")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--root", help="keep the prepared inputs in this folder")
    arguments = parser.parse_args()
    part = Part(
        quad16=arguments.quad16,
        language=arguments.language,
        num_queries=arguments.queries,
        num_documents=arguments.documents,
        num_layers=arguments.layers,
        top_k=arguments.top_k,
    )
    if arguments.side:
        found = measure(arguments.side, part, arguments.root, judged=arguments.judged, threads=arguments.threads)
        sys.stdout.write("\n" + json.dumps(found) + "\n")
        return
    with tempfile.TemporaryDirectory() as scratch:
        root = arguments.root or scratch
        Inputs.of(part).prepare(root, surroundings(arguments.threads))
        found = [_in_process(side, root, arguments.threads) for _ in range(arguments.repeats) for side in SIDES]
    report(found)


def _in_process(side: str, root: str, threads: int) -> dict[str, Any]:
    """Run one side on a copy of the inputs, so that nothing of an earlier turn is cached."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    environment |= {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'benchmarks'}", "RAYON_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as copy:
        subprocess.run(["cp", "-a", f"{root}/.", copy], check=True)
        command = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--root", copy]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{side}: expected a measurement, got exit status {done.returncode}:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    seconds = f"{found['wall_seconds']:.1f} s, CPU {found['cpu_seconds']:.1f} s"
    out.print(f"{side}: {seconds}, peak {found['peak_bytes'] / 1e6:.0f} MB, {len(found['pairs'])} pairs")
    return found


def report(found: list[dict[str, Any]]) -> None:
    """Print medians and their ratios as a Markdown table, and how far the mined pairs agree."""
    out.print("\n| | wall s | CPU s | peak MB | MB before mining | mined pairs |\n|---|---|---|---|---|---|")
    medians: dict[str, dict[str, float]] = {}
    for side in SIDES:
        own = [one for one in found if one["side"] == side]
        names = ("wall_seconds", "cpu_seconds", "peak_bytes", "before_bytes")
        medians[side] = middle = {name: statistics.median(one[name] for one in own) for name in names}
        cells = f"{middle['wall_seconds']:.1f} | {middle['cpu_seconds']:.1f} | {middle['peak_bytes'] / 1e6:.0f}"
        out.print(f"| {side} | {cells} | {middle['before_bytes'] / 1e6:.0f} | {len(own[0]['pairs'])} |")
    ours, theirs = (medians[side] for side in SIDES)
    ratios = " | ".join(f"{theirs[name] / ours[name]:.2f}" for name in ("wall_seconds", "cpu_seconds", "peak_bytes"))
    out.print(f"| theirs / ours | {ratios} | | |")
    mined = [{tuple(pair) for pair in next(one for one in found if one["side"] == side)["pairs"]} for side in SIDES]
    out.print(f"\nAgreement of the mined pairs (Jaccard): {len(mined[0] & mined[1]) / len(mined[0] | mined[1]):.4f}")


if __name__ == "__main__":
    main()
