"""Our side of `benchmarks/mining.py` and `mining_scale.py`: the stages themselves, built one after the other."""

from contextlib import contextmanager
from typing import Any

import drawn_inputs as drawn
import polars as pl
from mining_inputs import TEXT, Inputs, Part

from storage import read
from tasks.denoise import select
from tasks.denoise.config import CrossEncoderConfig, DenoiseConfig, SelectConfig
from tasks.engine.build import Surroundings, build
from tasks.engine.step import Promise
from tasks.models import encoder, pair_classifier  # noqa: F401 - loaded before the clock starts, as the peer's are
from tasks.retrieve.config import FuseConfig, SearchConfig
from tasks.steps import (
    apply_calibration,
    calibrate_scores,
    embed_documents,
    embed_queries,
    fuse_candidates,
    score_pairs,
    search_dense,
    select_hard_negatives,
)

Pairs = list[tuple[str, str]]


def surroundings(threads: int, batch_tokens: int = 2048) -> Surroundings:
    """Return the command line's defaults, without bars."""

    @contextmanager
    def silent(_total: int, _unit: str) -> Any:
        yield lambda _done, _note="": None

    return Surroundings("cpu", batch_tokens=batch_tokens, threads=threads, progress=silent)


def prepare(part: dict[str, Any], root: str) -> None:
    """Build what is there before the clock starts."""
    Inputs.of(Part(**part)).prepare(root, surroundings(1))


def prepare_drawn(root: str, num_documents: int, num_queries: int) -> None:
    """Build the random vectors of `mining_scale.py`."""
    for promise in drawn.inputs(num_documents, num_queries):
        build(promise, root, surroundings(1))


def mine(part: dict[str, Any], root: str, *, judged: bool) -> Pairs:
    """Mine by our stages: Parquet, checksums and manifests included."""
    return _mine(Part(**part), root, judged=judged)


def search_drawn(root: str, num_documents: int, num_queries: int) -> int:
    """Search, fuse and decide over random vectors; the relevant document of query n is document n."""
    documents, asked, queries = drawn.inputs(num_documents, num_queries)
    settings = {"search": SearchConfig(depth=drawn.TOP_K), "system": "dense"}
    found = search_dense("sw", documents=documents, queries=asked, **settings)
    config = FuseConfig(top_k=drawn.TOP_K)
    fused = fuse_candidates("sw", candidates=[found], config=config)
    for promise in (found, fused):
        build(promise, root, surroundings(1))
    ids = read(queries.ref(root)).select("query_id")
    qrels = ids.with_columns(doc_id=pl.col("query_id").str.replace("q", "d"), relevance=1)
    return _naive(read(fused.ref(root)), qrels, drawn.TOP_K - 1).filter(pl.col("decision") == "kept").height


def _mine(part: Part, root: str, *, judged: bool) -> Pairs:
    given, language = Inputs.of(part), part.language
    documents = embed_documents(
        language,
        corpus=given.corpus,
        encoder=given.encoder,
        max_tokens=part.max_tokens,
        text=TEXT,
        shard_size=50_000,
    )
    queries = embed_queries(language, queries=given.queries, encoder=given.encoder, max_tokens=part.max_tokens)
    found = search_dense(
        language, documents=documents, queries=queries, system="dense", search=SearchConfig(depth=part.top_k)
    )
    fused = fuse_candidates(language, candidates=[found], config=FuseConfig(top_k=part.top_k))
    steps = [documents, queries, found, fused]
    steps += _judge(part, root, given, fused) if judged else []
    for promise in steps:
        build(promise, root, surroundings(part.threads, part.batch_tokens))
    num_negatives = part.top_k - 1
    ledger = read(steps[-1].ref(root) if judged else fused.ref(root))
    ledger = ledger if judged else _naive(ledger, read(given.qrels.ref(root)), num_negatives)
    return sorted(ledger.filter(pl.col("decision") == "kept").select("query_id", "doc_id").rows())


def _judge(part: Part, root: str, given: Inputs, fused: Promise) -> list[Promise]:
    language = part.language
    raw_scores = score_pairs(
        language,
        candidates=fused,
        queries=given.queries,
        qrels=given.qrels,
        corpus=given.corpus,
        text=TEXT,
        max_query_tokens=part.max_query_tokens,
        max_document_tokens=part.max_tokens,
        cross_encoder=CrossEncoderConfig(model=f"{root}/cross_encoder"),
        digest="seeded",
    )
    settings = DenoiseConfig()
    calibration = calibrate_scores(
        raw_scores={language: raw_scores},
        fused={language: fused},
        qrels={language: given.qrels},
        prior=settings.prior,
        presumed_ranks=(2, part.top_k),
    )
    scores = apply_calibration(
        language,
        language=language,
        raw_scores=raw_scores,
        calibration=calibration,
        grade_cuts=settings.grade_cuts,
    )
    ledger = select_hard_negatives(
        language,
        fused=fused,
        scores=scores,
        qrels=given.qrels,
        queries=given.queries,
        corpus=given.corpus,
        text=TEXT,
        config=_margin(part),
    )
    return [raw_scores, calibration, scores, ledger]


def _margin(part: Part) -> SelectConfig:
    return SelectConfig(strategy="margin", score="raw", margin=0.0, num_negatives=part.top_k - 1)


def _naive(fused: pl.DataFrame, qrels: pl.DataFrame, num_negatives: int) -> pl.DataFrame:
    scores = fused.select("query_id", "doc_id", judge=pl.lit("none"), raw=0.0, probability=0.0, grade=0)
    config = SelectConfig(strategy="naive", score="fused", num_negatives=num_negatives)
    return select.select_hard_negatives(fused, scores, qrels, config)
