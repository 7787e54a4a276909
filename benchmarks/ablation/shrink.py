"""Cut quad16 down to what two cores can train and measure many times: quad16's folder -> a folder in the same layout.

    python benchmarks/ablation/shrink.py QUAD16 TARGET

Of each language: the first train and dev queries in an order that a hash of their ids decides, all that is judged for
them, and other passages of the corpus up to a fixed number. Fewer passages make every question easier than in quad16:
figures compare the variants with each other, not with others' results.
"""

import argparse
import gzip
import hashlib
import json
from pathlib import Path

NUM_TRAIN = {"fi": 80, "sw": 200, "te": 100}  # unequal, so that drawing languages uniformly changes something
NUM_DEV = 120
NUM_PASSAGES = 1200


def lot(name: str) -> str:
    """Order ids as if by chance, the same everywhere."""
    return hashlib.sha256(name.encode()).hexdigest()


def shrink(source: Path, target: Path, language: str, num_train: int) -> tuple[int, int, int]:
    """Write one language; returns the numbers of train queries, dev queries and passages."""
    judged: set[str] = set()
    counts = []
    for split, number in (("train", num_train), ("dev", NUM_DEV)):
        name = f"quad16-{language}-{split}.tsv"
        qrels = [line.split("\t") for line in (source / f"qrels/qrels.{name}").read_text().splitlines()]
        answered = {row[0] for row in qrels if row[3] == "1"}
        topics = [line.split("\t", 1) for line in (source / f"topics/topics.{name}").read_text().splitlines()]
        chosen = sorted((row for row in topics if row[0] in answered), key=lambda row: lot(row[0]))[:number]
        wanted = {row[0] for row in chosen}
        kept = [row for row in qrels if row[0] in wanted]
        judged |= {row[2] for row in kept}
        counts.append(len(chosen))
        for kind, rows in (("topics", sorted(chosen)), ("qrels", kept)):
            path = target / kind / f"{kind}.{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join("\t".join(row) + "\n" for row in rows))
    lines = [
        line
        for path in sorted((source / "corpus" / language).glob("docs-*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()
    ]
    ids = [json.loads(line)["docid"] for line in lines]
    others = sorted(set(ids) - judged, key=lot)[: max(0, NUM_PASSAGES - len(judged))]
    wanted = judged | set(others)
    passages = [line for name, line in zip(ids, lines, strict=True) if name in wanted]
    path = target / "corpus" / language / "docs-0.jsonl.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in passages).encode(), mtime=0))
    return counts[0], counts[1], len(passages)


def main() -> None:
    """Write all languages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the folder of quad16")
    parser.add_argument("target", type=Path, help="a folder to write")
    arguments = parser.parse_args()
    for language, num_train in NUM_TRAIN.items():
        train, dev, passages = shrink(arguments.source, arguments.target, language, num_train)
        print(f"{language}: {train} train and {dev} dev queries, {passages} passages")  # noqa: T201


if __name__ == "__main__":
    main()
