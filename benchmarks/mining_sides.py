"""The two sides of `benchmarks/mining.py`: each mines the same queries, in a process of its own."""

import logging
import resource
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import torch
from datasets import Dataset
from mining_inputs import Inputs, Part
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.util import mine_hard_negatives

from storage import folder, read
from tasks.build import Surroundings, build
from tasks.denoise import select
from tasks.denoise.config import CalibrateConfig, GradeConfig, ReadyConfig, ScoreConfig, SelectConfig
from tasks.denoise.task import apply_calibration, calibrate_scores, score_candidates, select_hard_negatives
from tasks.models import encoder, pair_classifier  # noqa: F401 - loaded before the clock starts, as the peer's are
from tasks.models.texts import document_text
from tasks.retrieve.config import FuseConfig, SearchConfig
from tasks.retrieve.task import embed_documents, embed_queries, fuse_candidates, search_dense
from tasks.stage import Step

Pairs = set[tuple[str, str]]
TEXT = "title_and_text"


def surroundings(threads: int) -> Surroundings:
    """Ours on a CPU, with the command line's defaults."""

    @contextmanager
    def silent(_total: int, _unit: str) -> Any:
        yield lambda _done: None

    return Surroundings("cpu", batch_tokens=2048, threads=threads, progress=silent)


def ours(part: Part, root: str, *, judged: bool, threads: int) -> Pairs:
    """Mine by our stages: Parquet, checksums and manifests included."""
    given, language = Inputs.of(part), part.language
    documents = embed_documents(
        language,
        corpus=given.corpus,
        encoder=given.encoder,
        max_tokens=part.max_tokens,
        text=TEXT,
        shard_size=50_000,
    )
    queries = embed_queries(
        language, queries=given.queries, encoder=given.encoder, splits=("train",), max_tokens=part.max_tokens
    )
    found = search_dense(
        language, documents=documents, queries=queries, system="dense", search=SearchConfig(depth=part.top_k)
    )
    fused = fuse_candidates(
        language, candidates=[found], queries=given.queries, splits=("train",), config=FuseConfig(top_k=part.top_k)
    )
    steps = [documents, queries, found, fused]
    steps += _judge(part, root, given, fused) if judged else []
    for step in steps:
        build(step, root, surroundings(threads))
    ledger = read(steps[-1].ref(root)) if judged else _naive(part, read(fused.ref(root)), read(given.qrels.ref(root)))
    return set(ledger.filter(pl.col("decision") == "kept").select("query_id", "doc_id").rows())


def _judge(part: Part, root: str, given: Inputs, fused: Step) -> list[Step]:
    language = part.language
    raw_scores = score_candidates(
        language,
        fused=fused,
        queries=given.queries,
        qrels=given.qrels,
        corpus=given.corpus,
        text=TEXT,
        config=ScoreConfig(max_query_tokens=part.max_query_tokens, max_document_tokens=part.max_tokens),
        ready=ReadyConfig(cross_encoder=f"{root}/cross_encoder"),
        digest="seeded",
    )
    calibration = calibrate_scores(
        raw_scores={language: raw_scores},
        fused={language: fused},
        qrels={language: given.qrels},
        config=CalibrateConfig(presumed_from_rank=2),
    )
    scores = apply_calibration(
        language, language=language, raw_scores=raw_scores, calibration=calibration, config=GradeConfig()
    )
    ledger = select_hard_negatives(
        language, fused=fused, scores=scores, qrels=given.qrels, queries=given.queries, config=_margin(part)
    )
    return [raw_scores, calibration, scores, ledger]


def _margin(part: Part) -> SelectConfig:
    limits = select.Limits(margin=0.0)
    return SelectConfig(strategy="margin", score="raw", num_negatives=part.top_k - 1, **vars(limits))


def _naive(part: Part, fused: pl.DataFrame, qrels: pl.DataFrame) -> pl.DataFrame:
    scores = fused.select("query_id", "doc_id", judge=pl.lit("none"), raw=0.0, probability=0.0, grade=0)
    return select.select_hard_negatives(
        fused, scores, qrels, strategy="naive", score="fused", limits=select.Limits(), num_negatives=part.top_k - 1
    )


def theirs(part: Part, root: str, *, judged: bool, threads: int) -> Pairs:
    """Mine by sentence-transformers, at its defaults but for texts, lengths, float32 and k."""
    given = Inputs.of(part)
    corpus = read(given.corpus.ref(root)).select("doc_id", text=document_text(TEXT))
    queries = read(given.queries.ref(root)).select("query_id", query="text")
    pairs = read(given.qrels.ref(root)).join(queries, on="query_id").join(corpus, on="doc_id")
    float32 = {"dtype": torch.float32}
    model = SentenceTransformer(str(folder(given.encoder.ref(root)) / "model"), device="cpu", model_kwargs=float32)
    model.max_seq_length = part.max_tokens
    cross_encoder = None
    if judged:
        cross_encoder = CrossEncoder(
            f"{root}/cross_encoder",
            device="cpu",
            max_length=part.max_query_tokens + part.max_tokens,
            model_kwargs=float32,
            activation_fn=torch.nn.Identity(),
        )
    mined = mine_hard_negatives(
        Dataset.from_dict({"query": pairs["query"].to_list(), "positive": pairs["text"].to_list()}),
        model,
        corpus=corpus["text"].to_list(),
        cross_encoder=cross_encoder,
        range_max=part.top_k - 1,  # it retrieves, and scores, as many more as a query has positives
        num_negatives=part.top_k - 1,
        absolute_margin=0.0 if judged else None,
        verbose=False,
    )
    query_ids = dict(queries.select("query", "query_id").rows())
    doc_ids = dict(corpus.select("text", "doc_id").rows())
    return {(query_ids[row["query"]], doc_ids[row["negative"]]) for row in mined}


SIDES: dict[str, Callable[..., Pairs]] = {"ours": ours, "sentence-transformers": theirs}


def measure(side: str, part: Part, root: str, *, judged: bool, threads: int) -> dict[str, Any]:
    """Run one side; memory is the process's, so call it once per process."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(threads)
    before = _resident_bytes()
    wall, cpu = time.monotonic(), time.process_time()
    pairs = SIDES[side](part, root, judged=judged, threads=threads)
    return {
        "side": side,
        "wall_seconds": time.monotonic() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "before_bytes": before,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "pairs": sorted(pairs),
    }


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
