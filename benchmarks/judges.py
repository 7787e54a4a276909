"""How good are the judges? Planted false negatives of atlas, and what people judged in quad16: two tables in Markdown.

    python benchmarks/judges.py --store FOLDER [--languages en fi sw] [--documents 300 --queries 90 --seed 0]
                                [--cross-encoder FOLDER] [--quad16 FOLDER --quad16-languages sw te]

Only here and in tests is atlas's `truth` read. Everything else runs as a pipeline would: the judge learns from the
train judgements, each query is scored by a model that has not seen it, and all strategies read the same stored scores.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import precision_recall_curve, roc_auc_score

from flows.configs import PipelineConfig
from flows.weave import weave
from storage import folder, read
from tasks.denoise.calibrate import apply_curve, fit_curves
from tasks.denoise.config import GradeConfig
from tasks.denoise.select import STRATEGIES, Limits, select_hard_negatives
from tasks.engine.build import Surroundings, build, state
from tasks.engine.step import Promise
from tasks.models.encoder import shared_encoder

Row = tuple[tuple[str, ...], list[tuple[str, str]]]
"""Leading cells; language -> cell."""

PAIR = ["query_id", "doc_id"]
RETRIEVAL: dict[str, Any] = {
    "encoder": {"num_layers": 6},
    "text": {"max_query_tokens": 32, "max_document_tokens": 96},
    "retrieve": {"fuse": {"top_k": 20}},
}
FIT = {"presumed_from_rank": 8, "presumed_to_rank": 20}


@contextmanager
def silent(_total: int, _unit: str) -> Iterator[Any]:
    """Draw no progress."""
    yield lambda done, note="": None


class Built:
    """The datasets of one configuration, made where they are missing."""

    def __init__(self, root: str, threads: int, **settings: Any) -> None:
        self.config = PipelineConfig.model_validate(settings)
        self.steps = list(weave(self.config).promises)
        self.root = root
        self.surroundings = Surroundings(device="cpu", batch_tokens=2048, threads=threads, progress=silent)

    def step(self, kind: str, partition: str = "all", **fields: Any) -> Promise:
        """The one Promise of this kind, partition and settings."""
        (found,) = {
            promise.fingerprint: promise
            for promise in self.steps
            if promise.step.produces == kind
            and promise.partition == partition
            and all(promise.settings.get("config", {}).get(name) == value for name, value in fields.items())
        }.values()
        return found

    def make(self, promise: Promise) -> Promise:
        """Build a Promise and what it needs, where it is missing."""
        for needed in promise.inputs.values():
            self.make(needed)
        if not state(promise, self.root).cached:
            build(promise, self.root, self.surroundings)
        return promise

    def read(self, kind: str, partition: str = "all") -> pl.DataFrame:
        """The rows of a dataset, which is built if need be."""
        return read(self.make(self.step(kind, partition)).ref(self.root))

    def cosines(self, language: str) -> pl.DataFrame:
        """The raw scores of a judge that is the frozen encoder with all its layers."""
        whole = self.make(self.step("encoder", num_layers=None))
        encoder = shared_encoder(folder(whole.ref(self.root)) / "model", "cpu")
        pairs = self.read("raw_scores", language).select(PAIR)
        queries = self.read("queries", language).join(pairs, on="query_id", how="semi")
        titled = pl.concat_str("title", pl.lit("\n"), "text")
        documents = self.read("corpus", language).join(pairs, on="doc_id", how="semi").select("doc_id", text=titled)
        query = encoder.embed(queries["text"].to_list(), role="query", max_tokens=48, batch_tokens=2048)
        document = encoder.embed(documents["text"].to_list(), role="document", max_tokens=160, batch_tokens=2048)
        row, column = (
            {key: number for number, key in enumerate(ids)} for ids in (queries["query_id"], documents["doc_id"])
        )
        raw = [float(query[row[one]] @ document[column[other]]) for one, other in pairs.rows()]
        return pairs.with_columns(judge=pl.lit("cosine"), raw=pl.Series(raw, dtype=pl.Float32))


def calibrated(built: Built, raw_scores: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Raw scores as probabilities, by curves fitted on judged pairs as the pipeline fits its own."""
    judged = [
        raw.join(built.read("qrels", language), on=PAIR).select("raw", "relevance", language=pl.lit(language))
        for language, raw in raw_scores.items()
    ]
    nothing = pl.DataFrame(schema={"language": pl.String, "raw": pl.Float32})
    curves = fit_curves(pl.concat(judged), nothing, prior=0.2, min_positive=20, min_negative=20)
    cuts = (GradeConfig().partly, GradeConfig().highly)
    return {language: apply_curve(raw, curves[language], grade_cuts=cuts) for language, raw in raw_scores.items()}


def decisions(built: Built, scores: dict[str, pl.DataFrame], strategy: str) -> dict[str, pl.DataFrame]:
    """Per language and for all: the unjudged candidates with planted, probability and dropped."""
    tables = []
    for language, found in scores.items():
        fused = built.read("fused", language).join(found.select("query_id").unique(), on="query_id", how="semi")
        qrels = built.read("qrels", language)
        ledger = select_hard_negatives(
            fused, found, qrels, strategy=strategy, score="probability", limits=Limits(), num_negatives=10_000
        ).filter(pl.col("relevance").is_null())
        planted = built.read("truth", language).select(*PAIR, planted=pl.lit(True))
        tables.append(
            ledger.join(planted, on=PAIR, how="left").select(
                pl.col("planted").fill_null(False),
                "probability",
                language=pl.lit(language),
                dropped=pl.col("decision") == "dropped",
            )
        )
    whole = pl.concat(tables)
    return {language: whole.filter(pl.col("language") == language) for language in scores} | {"all": whole}


def detection(built: Built, scores: dict[str, pl.DataFrame], strategy: str) -> list[tuple[str, str]]:
    """Per language and for all: recall / precision of dropping planted false negatives among the unjudged; AUC."""
    cells = []
    for language, part in decisions(built, scores, strategy).items():
        hits = part.filter(pl.col("planted") & pl.col("dropped")).height
        recall = hits / max(part["planted"].sum(), 1)
        precision = f"{hits / part['dropped'].sum():.2f}" if part["dropped"].any() else "–"
        auc = roc_auc_score(part["planted"].to_numpy(), part["probability"].to_numpy())
        cells.append((language, f"{recall:.2f} / {precision} ({auc:.3f})"))
    return cells


def any_cut(built: Built, scores: dict[str, pl.DataFrame]) -> list[tuple[str, str]]:
    """Per language and for all: precision where it equals recall; precision at recall .90, whatever the cut is."""
    cells = []
    for language, part in decisions(built, scores, "grade").items():
        curve = precision_recall_curve(part["planted"].to_numpy(), part["probability"].to_numpy())
        precision, recall = curve[0], curve[1]
        even = precision[np.argmin(np.abs(precision - recall))]
        cells.append((language, f"{even:.2f}; {precision[recall >= 0.9].max():.2f}"))
    return cells


def planted(arguments: argparse.Namespace) -> Iterator[str]:
    """The table of atlas."""
    sizes = {"documents_per_language": arguments.documents, "queries_per_language": arguments.queries}
    settings = {
        "languages": arguments.languages,
        "ingest": {"layout": "atlas", "atlas": sizes | {"seed": arguments.seed}},
        "plan_batches": {"batch_size": 8},
        **RETRIEVAL,
    }
    built = Built(arguments.store, arguments.threads, denoise={"fit": FIT}, **settings)
    default = {language: built.read("scores", language) for language in arguments.languages}
    cosine = calibrated(built, {language: built.cosines(language) for language in arguments.languages})
    rows = [("cosine", "grade", detection(built, cosine, "grade"))]
    rows += [("cosine", "any cut", any_cut(built, cosine)), ("default", "any cut", any_cut(built, default))]
    rows += [("default", strategy, detection(built, default, strategy)) for strategy in STRATEGIES]
    if arguments.cross_encoder:
        ready = Built(
            arguments.store, arguments.threads, denoise={"cross_encoder": arguments.cross_encoder}, **settings
        )
        scores = {language: ready.read("scores", language) for language in arguments.languages}
        rows.append(("ready", "grade", detection(ready, scores, "grade")))
    size = f"{arguments.documents} documents, {arguments.queries} queries"
    yield f"atlas, seed {arguments.seed}, {size}: recall / precision (AUC)"
    yield "any cut: recall and precision where they are equal; precision at recall .90"
    yield from table(["judge", "strategy"], [((judge, strategy), cells) for judge, strategy, cells in rows])


def judged(arguments: argparse.Namespace) -> Iterator[str]:
    """The table of quad16: AUC of relevant against not relevant train judgements, and calibration errors."""
    built = Built(
        arguments.store,
        arguments.threads,
        languages=arguments.quad16_languages,
        ingest={
            "layout": "miracl",
            "path": str(arguments.quad16),
            "corpus": "corpus/{language}/docs-*.jsonl.gz",
            "queries": "topics/topics.quad16-{language}-{split}.tsv",
            "qrels": "qrels/qrels.quad16-{language}-{split}.tsv",
            "validation_share": arguments.quad16_unused,
        },
        denoise={"fit": FIT},
        **RETRIEVAL | {"retrieve": {**RETRIEVAL["retrieve"], "fuse": {"top_k": arguments.quad16_top_k}}},
    )
    raw = {language: built.read("raw_scores", language) for language in arguments.quad16_languages}
    cosine = {language: built.cosines(language) for language in arguments.quad16_languages}
    errors = built.read("calibration").group_by("language").agg(pl.col("uncalibrated_error", "error").first())
    rows = []
    for name, scores in (("cosine", cosine), ("default", raw)):
        cells = []
        for language, found in scores.items():
            pairs = found.join(built.read("qrels", language), on=PAIR)
            relevant = (pairs["relevance"] > 0).to_numpy()
            value = "–" if relevant.all() else f"{roc_auc_score(relevant, pairs['raw'].to_numpy()):.3f}"
            cells.append((language, f"{value} ({relevant.sum()} / {(~relevant).sum()})"))
        rows.append(((name, "AUC (pairs)"), cells))
    for column, name in (("uncalibrated_error", "error before"), ("error", "error after")):
        error = dict(errors.select("language", column).rows())
        cells = [(one, "pooled" if error[one] is None else f"{error[one]:.3f}") for one in raw]  # too few pairs: no own
        rows.append((("default", name), cells))
    yield f"quad16, train judgements, each scored by a model that has not seen the query (top {arguments.quad16_top_k})"
    yield from table(["judge", "measure"], rows)


def table(names: list[str], rows: Sequence[Row]) -> Iterator[str]:
    """Markdown."""
    header = [*names, *(language for language, _ in rows[0][1])]
    yield from ("", f"| {' | '.join(header)} |", f"|{'---|' * len(header)}")
    for leading, cells in rows:
        yield f"| {' | '.join([*leading, *(cell for _, cell in cells)])} |"
    yield ""


def main() -> None:
    """Read the command line, build what is missing, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True)
    parser.add_argument("--languages", nargs="*", default=["en", "fi", "sw"])
    parser.add_argument("--documents", type=int, default=300)
    parser.add_argument("--queries", type=int, default=90)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cross-encoder")
    parser.add_argument("--quad16", type=Path)
    parser.add_argument("--quad16-languages", nargs="+", default=["sw", "te"])
    parser.add_argument("--quad16-unused", type=float, default=0.93)
    parser.add_argument("--quad16-top-k", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    for line in planted(arguments) if arguments.languages else ():
        sys.stdout.write(f"{line}\n")
    for line in judged(arguments) if arguments.quad16 else ():
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
