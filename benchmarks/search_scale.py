"""Time and peak memory of the step `search_dense` as the corpus grows, exact and by an index of faiss.

    python benchmarks/search_scale.py --sizes 10000 30000 100000 --index Flat IVF256,PQ64

Each figure is of a process of its own, so that the peak is its own; the vectors are made by another one. `--clusters`
draws documents and queries around so many centres; with 0 they are uniform on the sphere, the worst case for any
approximation: there is nothing to find lists by.
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from storage import folder, load
from tasks.engine.build import Surroundings, build, commit_number, state
from tasks.engine.job import Job
from tasks.engine.step import Promise, Step
from tasks.retrieve.config import SearchConfig
from tasks.steps import search_dense

make_vectors = Step("search_scale:write_vectors", produces="embeddings")


def write_vectors(job: Job, *, number: int, size: int, shard_size: int, clusters: int, seed: int) -> None:
    """Draw unit vectors, shard by shard."""
    centres = np.random.default_rng(0).normal(size=(clusters, size)) if clusters else None
    for shard, start in enumerate(range(0, number, shard_size)):
        rng = np.random.default_rng([seed, shard])
        rows = min(shard_size, number - start)
        vectors = rng.normal(size=(rows, size))
        if centres is not None:
            vectors = 0.7 * vectors + centres[rng.integers(clusters, size=rows)]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ids = [f"{seed}-{start + row:08}" for row in range(rows)]
        job.out.write(pl.DataFrame({"id": ids, "vector": pl.Series(vectors.astype(np.float16))}), shard=shard)


def search(options: argparse.Namespace, documents: int, queries: int, index: str) -> Promise:
    """Promise one search."""
    made = {"size": options.dimensions, "clusters": options.clusters}
    return search_dense(
        documents=make_vectors(number=documents, shard_size=options.shard_size, seed=1, **made),
        queries=make_vectors(number=queries, shard_size=16_384, seed=2, **made),
        system="dense",
        search=(settings := SearchConfig(depth=options.depth, index=index, parameters=options.parameters)),
        **settings.dense_arguments(),
    )


def run_one(options: argparse.Namespace) -> None:
    """Build one Promise in this process and say what it took."""
    documents, queries, index = int(options.one[0]), int(options.one[1]), options.one[2]
    promise, root = search(options, documents, queries, index), options.root
    surroundings = Surroundings(device=options.device, batch_tokens=1024, threads=options.threads, progress=_silent)
    if options.make:
        for needed in promise.inputs.values():
            if not state(needed, root).cached:
                build(needed, root, surroundings)
        return
    for needed in promise.inputs.values():
        state(needed, root)  # checksums are not what is measured
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, started_cpu = time.perf_counter(), time.process_time()
    build(promise, root, surroundings, replaces=commit_number(promise, root))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    report = folder(promise.ref(root)) / "search" / "recall.json"
    recall = json.loads(report.read_text())["recall"] if report.is_file() else None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mb": peak / 1024,
        "before_mb": before / 1024,
        "recall": recall,
    }
    sys.stdout.write(json.dumps(row | {"content": load(promise.ref(root)).content}))


@contextlib.contextmanager
def _silent(total: int, unit: str) -> Iterator[Any]:
    yield lambda done: None


def main() -> None:
    """Measure every combination and write a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 30_000, 100_000], help="documents")
    parser.add_argument("--queries", type=int, nargs="+", default=[1000])
    parser.add_argument("--index", nargs="+", default=["Flat"], help="of retrieve.search.index")
    parser.add_argument("--parameters", default="nprobe=64", help="of retrieve.search.parameters")
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--depth", type=int, default=100)
    parser.add_argument("--shard-size", type=int, default=10_000)
    parser.add_argument("--clusters", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--root", default="", help="store to work in; default: a temporary folder")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run_one(options)
        return
    with tempfile.TemporaryDirectory() as temporary:
        root = options.root or temporary
        rows = [
            (documents, queries, index, _measured(root, documents, queries, index))
            for documents in options.sizes
            for queries in options.queries
            for index in options.index
        ]
    names = ("documents", "queries", "index", "seconds", "CPU seconds", "peak MB (before the search)", "recall")
    lines = [names, ("---",) * len(names)]
    for documents, queries, index, row in rows:
        costs = (f"{row['seconds']:.2f}", f"{row['cpu_seconds']:.2f}", f"{row['peak_mb']:.0f} ({row['before_mb']:.0f})")
        recall = "" if row["recall"] is None else f"{row['recall']:.4f}"
        lines.append((f"{documents:,}", f"{queries:,}", index, *costs, recall))
    sys.stdout.write("".join(f"| {' | '.join(line)} |\n" for line in lines))


def _measured(root: str, documents: int, queries: int, index: str) -> dict[str, Any]:
    """Run one combination in processes of its own, with the options of this one."""
    repository = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(repository), "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, __file__, *sys.argv[1:], "--root", root, "--one", str(documents), str(queries), index]
    subprocess.run([*command, "--make"], env=environment, check=True)
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    row: dict[str, Any] = json.loads(done.stdout)
    return row


if __name__ == "__main__":
    main()
