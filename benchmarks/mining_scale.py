"""Search and select over 10,000 to 100,000 documents: does memory stay flat, does time grow linearly?

    python benchmarks/mining_scale.py --documents 10000 30000 100000

Embedding 100,000 documents takes hours on two cores, and its memory depends on a shard alone: so the vectors are random
unit vectors, made beforehand. Ours reads them shard by shard from a stored dataset, searches, fuses and decides;
sentence_transformers.util.mine_hard_negatives gets them from a stand-in for its model. One process per size and side.
"""

import argparse
import tempfile

from rich.console import Console
from sides import measured_apart

SIDES = {"ours": "mining_ours", "sentence-transformers": "mining_theirs"}
out = Console(width=160, highlight=False)


def main() -> None:
    """Measure every size and side, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--queries", type=int, default=1000)
    arguments = parser.parse_args()
    out.print(
        "| documents | side | wall s | CPU s | peak MB | MB before | mined pairs |\n|---|---|---|---|---|---|---|"
    )
    for number in arguments.documents:
        with tempfile.TemporaryDirectory() as root:
            sizes = {"root": root, "num_documents": number, "num_queries": arguments.queries}
            measured_apart("mining_ours", "prepare_drawn", threads=1, **sizes)
            for side, module in SIDES.items():
                found = measured_apart(module, "search_drawn", threads=1, **sizes)
                seconds = f"{found['wall_seconds']:.1f} | {found['cpu_seconds']:.1f}"
                memory = f"{found['peak_bytes'] / 1e6:.0f} | {found['before_bytes'] / 1e6:.0f}"
                out.print(f"| {number:,} | {side} | {seconds} | {memory} | {found['result']:,} |")


if __name__ == "__main__":
    main()
