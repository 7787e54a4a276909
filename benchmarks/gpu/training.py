"""Training steps: batches of 24, 256 and 4096 queries with 8 documents each, plain and cached.

Ours by `train`; sentence-transformers' by its losses in a plain loop, tokenized batch by batch as its trainer does by
default (the trainer itself needs `datasets` and `accelerate`). Both in bf16 on a GPU, with AdamW, without dropout.
"""

import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from inputs import MAX_TOKENS, Call, forward_flop
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)

from tasks.models.encoder import Encoder
from tasks.train.config import TrainConfig
from tasks.train.data import TrainingData
from tasks.train.events import Report
from tasks.train.loop import train
from tasks.train.plan import PlanStep, Sample
from tasks.train.tokens import TokenTable

DOCUMENTS = 8  # a query: its positive and 7 negatives
NEVER = 10.0**9  # minutes

Rows = list[tuple[str, list[str]]]


def main() -> None:
    """Measure; what most likely runs out of memory comes last."""
    call = Call()
    folder = call.write_encoder("encoder")
    sizes = {24: 12, 256: 4, 4096: 2} if call.on_gpu else {4: 3}
    modes = [(batch, mode) for batch in sizes for mode in ("cached", "plain") if (batch, mode) != (4096, "plain")]
    for batch, mode in [*modes, *([(4096, "plain")] if 4096 in sizes else [])]:
        rows = _rows(call, batch * sizes[batch])
        for side, measure in (("ours", _ours), ("theirs", _theirs)):
            work = partial(measure, call, folder, rows, batch, mode)
            call.attempt("train", work, side=side, batch=batch, mode=mode, texts="natural")
    small, middle = min(sizes), 256 if call.on_gpu else 4
    each_step = partial(_ours, call, folder, _rows(call, small * 4), small, "plain", checkpoint_minutes=0.0)
    call.attempt("train", each_step, side="ours", batch=small, mode="plain", texts="natural, checkpoint each step")
    whole = partial(_ours, call, folder, _rows(call, middle * 3, joined=6), middle, "cached")
    call.attempt("train", whole, side="ours", batch=middle, mode="cached", texts="256 tokens")
    call.attempt("chunk", partial(_tiny_chunk, call, folder))


def _rows(call: Call, number: int, *, joined: int = 1) -> Rows:
    """Return queries and their documents."""
    texts = call.passages(number * DOCUMENTS * joined)
    documents = [" ".join(texts[start : start + joined]) for start in range(0, len(texts), joined)]
    return [(documents[n * DOCUMENTS][:50], documents[n * DOCUMENTS : (n + 1) * DOCUMENTS]) for n in range(number)]


def _ours(
    call: Call, folder: Path, rows: Rows, batch: int, mode: str, checkpoint_minutes: float = NEVER
) -> dict[str, Any]:
    encoder = Encoder.load(folder, device=call.device)
    asked = encoder.tokenize([query for query, _ in rows], role="query", max_tokens=MAX_TOKENS)
    found = encoder.tokenize([text for _, texts in rows for text in texts], role="document", max_tokens=MAX_TOKENS)
    names = [[f"{n}.{k}" for k in range(DOCUMENTS)] for n in range(len(rows))]
    samples = [Sample("x", str(n), own[0], tuple(own[1:]), 1.0) for n, own in enumerate(names)]
    steps = [PlanStep(0, n, tuple(samples[n * batch : (n + 1) * batch])) for n in range(len(rows) // batch)]
    data = TrainingData(
        steps=steps,
        num_steps=len(steps),
        queries=TokenTable.of({("x", str(n)): ids for n, ids in enumerate(asked)}),
        documents=TokenTable.of({("x", f"{n // DOCUMENTS}.{n % DOCUMENTS}"): ids for n, ids in enumerate(found)}),
    )
    times: list[float] = []
    reports: list[Report] = []

    def report(done: Report) -> None:
        times.append(time.perf_counter())
        reports.append(done)

    _forget_peak(call)
    train(
        encoder,
        data,
        TrainConfig(
            temperature=0.05,
            weighting="none",
            gradient_cache="off" if mode == "plain" else "on",
            checkpoint_minutes=checkpoint_minutes,
        ),
        checkpoints=call.out / f"checkpoints-{batch}-{mode}-{checkpoint_minutes}",
        report=report,
        warn=lambda text: None,
    )
    lengths = [len(ids) for ids in [*asked, *found]]
    padding = 1 - sum(one.num_tokens for one in reports) / sum(one.num_slots for one in reports)
    return _figures(call, times, batch, lengths, len(rows)) | {"padding": padding}


def _theirs(call: Call, folder: Path, rows: Rows, batch: int, mode: str) -> dict[str, Any]:
    model = SentenceTransformer(str(folder), device=call.device, local_files_only=True)
    model.max_seq_length = MAX_TOKENS
    loss = MultipleNegativesRankingLoss(model) if mode == "plain" else CachedMultipleNegativesRankingLoss(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.01, fused=True)
    model.train()
    times: list[float] = []
    lengths: list[int] = []
    _forget_peak(call)
    for start in range(0, len(rows), batch):
        some = rows[start : start + batch]
        columns = [[query for query, _ in some], *([texts[k] for _, texts in some] for k in range(DOCUMENTS))]
        prompts = [model.prompts["query"], *[model.prompts["document"]] * DOCUMENTS]
        features = [model.preprocess(texts, prompt=prompt) for texts, prompt in zip(columns, prompts, strict=True)]
        lengths += [length for one in features for length in one["attention_mask"].sum(dim=1).tolist()]
        there = [
            {k: v.to(call.device) if isinstance(v, torch.Tensor) else v for k, v in one.items()} for one in features
        ]
        with torch.autocast(torch.device(call.device).type, torch.bfloat16, enabled=call.on_gpu):
            loss(there, torch.zeros(len(some))).backward()  # within, for the cached loss embeds again there
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        call.wait()
        times.append(time.perf_counter())
    return _figures(call, times, batch, lengths, len(rows))


def _figures(call: Call, times: list[float], batch: int, lengths: list[int], num_rows: int) -> dict[str, Any]:
    """Return a step's figures, the first one left out; FLOP are those of one pass forward and one back."""
    seconds = statistics.median(after - before for before, after in zip(times, times[1:], strict=False))
    share = batch / num_rows
    return {
        "queries_per_second": batch / seconds,
        "tokens_per_second": share * sum(lengths) / seconds,
        "flop_per_second": 3 * share * forward_flop(call.layers, call.hidden, lengths) / seconds,
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if call.on_gpu else None,
    }


def _forget_peak(call: Call) -> None:
    if call.on_gpu:
        torch.cuda.reset_peak_memory_stats()


def _tiny_chunk(call: Call, folder: Path) -> dict[str, Any]:
    """Time the calls of one chunk forward and back: network.py's constant for them is this, in tokens."""
    encoder = Encoder.load(folder, device=call.device).train()
    ids = torch.full((1, 8), 5, device=call.device)

    def work() -> None:
        with torch.autocast(torch.device(call.device).type, torch.bfloat16, enabled=call.on_gpu):
            encoder(ids, torch.ones_like(ids)).sum().backward()

    work()
    return {"milliseconds": call.seconds(lambda: [work() for _ in range(10)]) * 100}


if __name__ == "__main__":
    main()
