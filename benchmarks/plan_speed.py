"""Measure the planning of large batch plans: slots per second and peak memory, in a process of its own.

    python benchmarks/plan_speed.py --queries 1000000 --epochs 2 [--folder /tmp/plan_speed] [--json FILE]

Sixteen languages whose sizes stand to each other as MIRACL's train sets do; 40 candidates per query as `denoise`
leaves them: 30 kept, 8 dropped for their grade, 2 beyond the number of negatives; 5 documents per query in the corpus;
every tenth query shares its positive with another. The ledgers are written once, to Parquet, and read back as the step
does it. Timed are the tables (reading the ledgers, numbering the ids), and planning and writing of each epoch. Parts
are written as the step writes them, and removed at once.
"""

import argparse
import contextlib
import json
import platform
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))

from storage import DatasetRef, Writer
from tasks.plan_batches import plan, tables, weights

TRAIN_QUERIES = {
    "ar": 3495, "bn": 1631, "en": 2863, "es": 2162, "fa": 2107, "fi": 2897, "fr": 1143, "hi": 1169,
    "id": 4071, "ja": 3477, "ko": 868, "ru": 4683, "sw": 1901, "te": 3452, "th": 2972, "zh": 1312,
}  # fmt: skip
NUM_KEPT, NUM_DROPPED, NUM_BEYOND = 30, 8, 2
DOCUMENTS_PER_QUERY = 5
NUM_TOPICS = 12
ROWS = 1 << 20
BATCH_SIZE, NUM_NEGATIVES = 24, 7


@dataclass
class Measured:
    """What one run says."""

    queries: int
    epochs: int
    machine: str
    ledger_rows: int = 0
    tables_seconds: float = 0.0
    tables_cpu_seconds: float = 0.0
    slots: int = 0
    epoch_seconds: float = 0.0
    epoch_cpu_seconds: float = 0.0
    plan_seconds: float = 0.0
    plan_cpu_seconds: float = 0.0
    peak_memory_gb: float = 0.0


def make_language(folder: Path, language: str, number: int, num_queries: int) -> None:
    """Write one language's queries, qrels and ledger."""
    rng = np.random.default_rng([number, num_queries])
    target = folder / language
    target.mkdir(parents=True)
    corpus = num_queries * DOCUMENTS_PER_QUERY
    per_query = NUM_KEPT + NUM_DROPPED + NUM_BEYOND
    decision = ["kept"] * NUM_KEPT + ["dropped"] * (NUM_DROPPED + NUM_BEYOND)
    reason = ["safe"] * NUM_KEPT + ["grade_above_max"] * NUM_DROPPED + ["beyond_num_negatives"] * NUM_BEYOND
    grade = [0] * NUM_KEPT + [2] * NUM_DROPPED + [0] * NUM_BEYOND
    hardness = [*range(1, NUM_KEPT + 1), *[None] * (NUM_DROPPED + NUM_BEYOND)]
    columns = {
        "decision": pl.Series(decision),
        "reason": pl.Series(reason),
        "grade": pl.Series(grade, dtype=pl.Int32),
        "hardness": pl.Series(hardness, dtype=pl.Int32),
    }
    parts: dict[str, list[pl.DataFrame]] = {"queries": [], "qrels": []}
    for part, first in enumerate(range(0, num_queries, ROWS // per_query)):
        queries = np.arange(first, min(first + ROWS // per_query, num_queries))
        ids = _ids(f"{language}-q", queries, 8)
        positive = np.where(rng.random(queries.size) < 0.1, rng.integers(corpus, size=queries.size), queries * 5)
        parts["queries"].append(pl.DataFrame({"query_id": ids, "text": ids, "split": ["train"] * queries.size}))
        judged = {"query_id": ids, "doc_id": _documents(positive), "relevance": np.ones(queries.size, dtype=np.int32)}
        parts["qrels"].append(pl.DataFrame(judged))
        candidate = rng.integers(corpus, size=(queries.size, 1)) + np.cumsum(
            rng.integers(1, 1000, size=(queries.size, per_query)), axis=1
        )  # different ones for a query
        order = np.tile(np.arange(per_query), queries.size)
        frame = pl.DataFrame(
            {
                "query_id": ids.gather(np.repeat(np.arange(queries.size), per_query)),
                "doc_id": _documents(candidate.reshape(-1) % corpus),
                **{name: column.gather(order) for name, column in columns.items()},
            }
        )
        frame.write_parquet(target / f"ledger-{part:05d}.parquet", compression="lz4", row_group_size=65_536)
    for name, frames in parts.items():
        pl.concat(frames).write_parquet(target / f"{name}-0.parquet")


def _ids(prefix: str, numbers: np.ndarray, digits: int) -> pl.Series:
    return pl.select(pl.lit(prefix) + pl.Series(numbers).cast(pl.String).str.zfill(digits)).to_series()


def _documents(numbers: np.ndarray) -> pl.Series:
    number = pl.Series(numbers)
    return pl.select((number // 20).cast(pl.String) + "#" + (number % 20).cast(pl.String)).to_series()


@contextlib.contextmanager
def clock(into: Measured, name: str) -> Iterator[None]:
    """Time a block: wall and CPU seconds are added up."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    spent = {f"{name}_seconds": time.perf_counter() - wall, f"{name}_cpu_seconds": time.process_time() - cpu}
    for field, seconds in spent.items():
        setattr(into, field, getattr(into, field) + seconds)


def measure(folder: Path, sizes: dict[str, int], measured: Measured) -> None:
    """Build tables, then plan and write."""
    built = []
    for number, language in enumerate(sizes):
        with clock(measured, "tables"):
            frames = {
                name: pl.scan_parquet(folder / language / f"{name}-*.parquet")
                for name in ("queries", "qrels", "ledger")
            }
            topics = frames["queries"].select("query_id").collect()
            # Documents have no texts here: the copies that tasks/plan_batches looks for are not measured.
            documents = pl.LazyFrame(schema=dict.fromkeys(("doc_id", "title", "text"), pl.String))
            topic = np.random.default_rng(number).zipf(1.5, size=topics.height) % NUM_TOPICS
            topics = topics.with_columns(topic=pl.Series(topic, dtype=pl.Int32))
            built.append(tables.build_table(language, **frames, topics=topics, documents=documents))
        print(language, f"{sizes[language]:,} queries, at most {_peak_gb():.2f} GB", flush=True)  # noqa: T201
    settings = {"batch_size": BATCH_SIZE, "num_negatives": NUM_NEGATIVES, "language_temperature": 0.5}
    weight = weights.sample_weights(tables.count_queries(built), alpha=0.45, beta=0.4, language_temperature=0.5)
    parts = _timed(
        plan.plan_parts(built, weight, num_epochs=measured.epochs, num_steps=None, seed=13, **settings), measured
    )
    writer = Writer(DatasetRef(kind="batch_plan", partition="all", fingerprint="measured", root=str(folder / "store")))
    while True:
        with clock(measured, "epoch"):
            part = next(parts, None)
            if part is None:
                break
            writer.write(part)
        measured.slots += part.height
        shutil.rmtree(folder / "store")


def _timed(parts: Iterator[pl.DataFrame], measured: Measured) -> Iterator[pl.DataFrame]:
    """Time the planning alone."""
    while True:
        with clock(measured, "plan"):
            part = next(parts, None)
        if part is None:
            return
        yield part


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Make the data if it isn't there, measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/plan_speed"), help="some 1 GB at a million queries")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only-make", action="store_true", help="write the ledgers and stop")
    arguments = parser.parse_args()
    total = sum(TRAIN_QUERIES.values())
    sizes = {name: arguments.queries * count // total for name, count in TRAIN_QUERIES.items()}
    folder = arguments.folder / str(arguments.queries)
    measured = Measured(
        sum(sizes.values()), arguments.epochs, f"{platform.processor() or platform.machine()}, 1 process"
    )
    for number, (language, num_queries) in enumerate(sizes.items()):
        if not (folder / language / "qrels-0.parquet").exists():
            shutil.rmtree(folder / language, ignore_errors=True)
            make_language(folder, language, number, num_queries)
    if arguments.only_make:
        return
    measured.ledger_rows = measured.queries * (NUM_KEPT + NUM_DROPPED + NUM_BEYOND)
    measure(folder, sizes, measured)
    measured.peak_memory_gb = _peak_gb()
    report = {**asdict(measured), **_rates(measured)}
    print(json.dumps(report, indent=1))  # noqa: T201
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


def _rates(measured: Measured) -> dict[str, float]:
    return {
        "ledger_rows_per_second": measured.ledger_rows / measured.tables_seconds,
        "slots_per_second": measured.slots / measured.epoch_seconds,
        "slots_per_second_planning_alone": measured.slots / measured.plan_seconds,
        "slots_per_cpu_second": measured.slots / measured.epoch_cpu_seconds,
    }


if __name__ == "__main__":
    main()
