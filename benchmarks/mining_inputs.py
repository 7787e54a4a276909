"""What both sides of `benchmarks/mining.py` mine: a part of quad16 in one language, an encoder, a cross-encoder."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import torch
from transformers import AutoModelForSequenceClassification

from storage import folder
from tasks.engine.build import Surroundings, build, state
from tasks.engine.job import Job
from tasks.engine.step import Promise, Settings, Step
from tasks.models.layout import LAYOUT_FILES
from tasks.models.locate import model_digest
from tasks.retrieve.config import EncoderConfig
from tasks.steps import prepare_encoder

TEXT = "title_and_text"

take_corpus = Step("mining_inputs:write_corpus", produces="corpus")
take_queries = Step("mining_inputs:write_queries", produces="queries")
take_qrels = Step("mining_inputs:write_qrels", produces="qrels")


class Part(Settings):
    """Which part of quad16, and how it is mined."""

    quad16: str
    language: str
    num_queries: int
    num_documents: int
    num_layers: int
    max_tokens: int = 128
    max_query_tokens: int = 64
    """In a pair; both sides cut pairs at this and `max_tokens` together."""
    top_k: int
    threads: int
    batch_tokens: int
    """Of our batches, padding included; the peer's have 32 texts."""


@dataclass(frozen=True)
class Inputs:
    """The datasets that are there before the clock starts."""

    corpus: Promise
    queries: Promise
    qrels: Promise
    encoder: Promise

    @classmethod
    def of(cls, part: Part) -> "Inputs":
        """Promise them."""
        config = EncoderConfig(num_layers=part.num_layers).resolved()
        encoder = prepare_encoder(config=config, digest=model_digest(config.model))
        return cls(
            take_corpus(part.language, part=part),
            take_queries(part.language, part=part),
            take_qrels(part.language, part=part),
            encoder,
        )

    def prepare(self, root: str, surroundings: Surroundings) -> None:
        """Build what is not there yet, and a cross-encoder from the encoder, with a fresh, seeded head."""
        for promise in (self.corpus, self.queries, self.qrels, self.encoder):
            if not state(promise, root).cached:
                build(promise, root, surroundings)
        write_cross_encoder(folder(self.encoder.ref(root)) / "model", Path(root) / "cross_encoder")


def write_cross_encoder(encoder: Path, target: Path) -> None:
    """Put a head on an encoder: a Hugging Face folder that sentence-transformers' CrossEncoder loads as well."""
    if (target / "model.safetensors").exists():
        return
    torch.manual_seed(0)
    network = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=1, dtype=torch.float32)
    with torch.no_grad():
        network.classifier.weight.normal_(
            std=50.0
        )  # wide: a fresh head of the usual size scores all pairs nearly alike
    network.save_pretrained(target)
    for name in LAYOUT_FILES:
        if name.startswith("tokenizer"):
            (target / name).write_bytes((encoder / name).read_bytes())


def write_corpus(job: Job, *, part: Part) -> None:
    """Take the documents that the chosen queries are judged on, then the first others."""
    wanted = set(_relevant(part)["doc_id"])
    rows = list(_documents(part))
    rows = [row for row in rows if row["doc_id"] in wanted] + [row for row in rows if row["doc_id"] not in wanted]
    schema = {"doc_id": pl.String, "title": pl.String, "text": pl.String}
    job.out.write(pl.DataFrame(rows[: part.num_documents], schema=schema).sort("doc_id"))


def write_queries(job: Job, *, part: Part) -> None:
    """Take the first train queries."""
    job.out.write(
        _queries(part).with_columns(split=pl.lit("train"), origin=pl.lit("given"), parent=pl.lit(None, dtype=pl.String))
    )


def write_qrels(job: Job, *, part: Part) -> None:
    """Take their relevant documents alone: sentence-transformers knows no judged non-relevant ones."""
    job.out.write(_relevant(part))


def _queries(part: Part) -> pl.DataFrame:
    """Read the first train queries with one relevant document: of several, the sides compare with different ones."""
    path = Path(part.quad16) / "topics" / f"topics.quad16-{part.language}-train.tsv"
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    frame = pl.DataFrame(lines, schema=["query_id", "text"], orient="row").unique("text")
    single = _judgements(part).group_by("query_id").len().filter(pl.col("len") == 1)
    return frame.join(single, on="query_id", how="semi").sort("query_id").head(part.num_queries)


def _relevant(part: Part) -> pl.DataFrame:
    return _judgements(part).join(_queries(part), on="query_id", how="semi").sort("query_id", "doc_id")


def _judgements(part: Part) -> pl.DataFrame:
    path = Path(part.quad16) / "qrels" / f"qrels.quad16-{part.language}-train.tsv"
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    frame = pl.DataFrame([(row[0], row[2], int(row[3])) for row in rows], schema=_QRELS, orient="row")
    return frame.filter(pl.col("relevance") > 0)


_QRELS = {"query_id": pl.String, "doc_id": pl.String, "relevance": pl.Int32}


def _documents(part: Part) -> Iterator[dict[str, str]]:
    for path in sorted((Path(part.quad16) / "corpus" / part.language).glob("docs-*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                yield {"doc_id": row["docid"], "title": row["title"], "text": row["text"]}
