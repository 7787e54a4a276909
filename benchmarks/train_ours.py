"""Train on rows.jsonl with this project's trainer, and say how long each step took.

train_ours.py FOLDER BATCH MAX_QUERY_TOKENS MAX_DOCUMENT_TOKENS CHUNK_TOKENS plain|cached
"""

import json
import sys
import time
from pathlib import Path

from train_inputs import read_rows

from tasks.models.batches import length_buckets
from tasks.models.encoder import Encoder
from tasks.train.batch import compose_batch
from tasks.train.config import TrainConfig
from tasks.train.data import TrainingData
from tasks.train.events import Report
from tasks.train.loop import train
from tasks.train.plan import PlanStep, Sample
from tasks.train.tokens import TokenTable


def main(
    folder: Path, batch: int, query_tokens: int, document_tokens: int, chunk_tokens: int, mode: str, device: str
) -> None:
    """Train, and print one line of JSON."""
    rows = read_rows(folder)
    encoder = Encoder.load(folder / "encoder", device=device)
    began = time.perf_counter()
    texts = {
        ("x", f"d{n}.{k}"): t for n, row in enumerate(rows) for k, t in enumerate([row["positive"], *row["negatives"]])
    }
    asked = {("x", f"q{n}"): row["query"] for n, row in enumerate(rows)}
    questions = encoder.tokenize(list(asked.values()), role="query", max_tokens=query_tokens)
    passages = encoder.tokenize(list(texts.values()), role="document", max_tokens=document_tokens)
    queries = TokenTable.of(dict(zip(asked, questions, strict=True)))
    documents = TokenTable.of(dict(zip(texts, passages, strict=True)))
    tokenize_seconds = time.perf_counter() - began

    def sample(n: int) -> Sample:
        return Sample("x", f"q{n}", f"d{n}.0", tuple(f"d{n}.{k + 1}" for k in range(len(rows[n]["negatives"]))), 1.0)

    steps = [
        PlanStep(0, step, tuple(map(sample, range(step * batch, (step + 1) * batch))))
        for step in range(len(rows) // batch)
    ]
    times = [(time.perf_counter(), time.process_time())]
    reports: list[Report] = []

    def report(done: Report) -> None:
        times.append((time.perf_counter(), time.process_time()))
        reports.append(done)

    log = train(
        encoder,
        TrainingData(steps=steps, num_steps=len(steps), queries=queries, documents=documents),
        TrainConfig(
            temperature=0.05,
            weighting="none",
            chunk_tokens=chunk_tokens or None,
            gradient_cache="off" if mode == "plain" else "on",
            checkpoint_minutes=10**9,
        ),
        checkpoints=folder / "checkpoints",
        report=report,
        warn=lambda text: None,
    )
    lengths = [compose_batch(step, queries, documents).lengths for step in steps]
    tokens = sum(map(sum, lengths))
    result = {
        "times": times,
        "losses": [row.loss for row in log],
        "tokenize_seconds": tokenize_seconds,
        "padding": {
            "chunks by length": 1 - tokens / sum(done.num_slots for done in reports),
            "chunks in plan order": 1 - tokens / sum(_in_order(some, chunk_tokens or 1024) for some in lengths),
            "one batch per column": 1 - tokens / sum(_columns(some, batch) for some in lengths),
            "one batch of all": 1 - tokens / sum(len(some) * max(some) for some in lengths),
        },
        "tokens_per_step": tokens / len(steps),
        "peak_mb": reports[-1].peak_bytes / 1e6,
    }
    sys.stdout.write(json.dumps(result) + "\n")


def _in_order(lengths: list[int], chunk_tokens: int) -> int:
    """Tokens with padding of chunks of as many texts as ours have on average, in the plan's order."""
    size = max(1, round(len(lengths) / len(length_buckets(lengths, batch_tokens=chunk_tokens))))
    chunks = [lengths[start : start + size] for start in range(0, len(lengths), size)]
    return sum(len(chunk) * max(chunk) for chunk in chunks)


def _columns(lengths: list[int], batch: int) -> int:
    """As sentence-transformers pads: the queries, the positives, then each column of negatives."""
    queries, documents = lengths[:batch], lengths[batch:]
    width = len(documents) // batch
    columns = [queries, *(documents[k::width] for k in range(width))]
    return sum(len(column) * max(column) for column in columns)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:6]), *sys.argv[6:8])
