"""Mine hard negatives: our stages beside sentence_transformers.util.mine_hard_negatives, on the same part of quad16.

    python benchmarks/mining.py --quad16 ../shared/quad16 --language sw --judged

Each side runs in a process of its own that imports its own libraries, in turns. Times hold loading the models but not
the imports, and ours writing every dataset. CPU seconds say more than wall seconds where other jobs run.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
from typing import Any

from rich.console import Console
from sides import measured_apart

SIDES = {"ours": "mining_ours", "sentence-transformers": "mining_theirs"}
out = Console(width=160, highlight=False)


def main() -> None:
    """Prepare the inputs, then run the sides in turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quad16", default=os.environ.get("QUAD16"), help="folder of quad16")
    parser.add_argument("--language", default="sw")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--documents", type=int, default=3000)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--top-k", type=int, default=21)
    parser.add_argument("--judged", action="store_true", help="with a cross-encoder")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-tokens", type=int, default=2048, help="resources.batch_tokens of our side")
    arguments = parser.parse_args()
    part = {
        "quad16": arguments.quad16,
        "language": arguments.language,
        "num_queries": arguments.queries,
        "num_documents": arguments.documents,
        "num_layers": arguments.layers,
        "top_k": arguments.top_k,
        "threads": arguments.threads,
        "batch_tokens": arguments.batch_tokens,
    }
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as root:
        measured_apart("mining_ours", "prepare", threads=arguments.threads, part=part, root=root)
        for _ in range(arguments.repeats):
            for side in SIDES:
                found[side].append(_on_a_copy(side, part, root, judged=arguments.judged))
    report(found)


def _on_a_copy(side: str, part: dict[str, Any], root: str, *, judged: bool) -> dict[str, Any]:
    """Run one side on a copy of the inputs, so that nothing of an earlier turn is cached."""
    with tempfile.TemporaryDirectory() as copy:
        subprocess.run(["cp", "-a", f"{root}/.", copy], check=True)
        one = measured_apart(SIDES[side], "mine", threads=part["threads"], part=part, root=copy, judged=judged)
    seconds = f"{one['wall_seconds']:.1f} s, CPU {one['cpu_seconds']:.1f} s"
    out.print(f"{side}: {seconds}, peak {one['peak_bytes'] / 1e6:.0f} MB, {len(one['result'])} pairs")
    return one


def report(found: dict[str, list[dict[str, Any]]]) -> None:
    """Print medians and their ratios as a Markdown table, and how far the mined pairs agree."""
    out.print("\n| | wall s | CPU s | peak MB | MB before mining | mined pairs |\n|---|---|---|---|---|---|")
    names = ("wall_seconds", "cpu_seconds", "peak_bytes", "before_bytes")
    medians = {
        side: {name: statistics.median(one[name] for one in own) for name in names} for side, own in found.items()
    }
    for side, middle in medians.items():
        cells = f"{middle['wall_seconds']:.1f} | {middle['cpu_seconds']:.1f} | {middle['peak_bytes'] / 1e6:.0f}"
        out.print(f"| {side} | {cells} | {middle['before_bytes'] / 1e6:.0f} | {len(found[side][0]['result'])} |")
    ours, theirs = medians.values()
    out.print("| theirs / ours | " + " | ".join(f"{theirs[name] / ours[name]:.2f}" for name in names[:3]) + " | | |")
    mined = [{tuple(pair) for pair in own[0]["result"]} for own in found.values()]
    out.print(f"\nAgreement of the mined pairs (Jaccard): {len(mined[0] & mined[1]) / len(mined[0] | mined[1]):.4f}")


if __name__ == "__main__":
    main()
