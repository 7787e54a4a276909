"""The same queries, positives and negatives for every trainer that is measured: lines of JSON in a folder."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

from tasks.ingest.atlas.generate import generate
from tasks.models.layout import read_json, write_json
from tasks.models.sources import write_encoder

Row = dict[str, Any]  # query, positive, negatives


def read_quad16(folder: Path, language: str) -> tuple[dict[str, str], dict[str, str], list[tuple[str, str]]]:
    """Return queries, documents and relevant pairs of quad16's train split."""
    documents = {}
    for path in sorted((folder / "corpus" / language).glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                documents[row["docid"]] = f"{row['title']}\n{row['text']}"
    topics = (folder / "topics" / f"topics.quad16-{language}-train.tsv").read_text(encoding="utf-8").splitlines()
    queries = dict(line.split("\t", 1) for line in topics)
    qrels = (folder / "qrels" / f"qrels.quad16-{language}-train.tsv").read_text().splitlines()
    judged = (line.split() for line in qrels)
    return queries, documents, [(query, doc) for query, _, doc, grade in judged if int(grade) and doc in documents]


def read_atlas(language: str) -> tuple[dict[str, str], dict[str, str], list[tuple[str, str]]]:
    """Return the same of the generated sample."""
    atlas = generate(language, seed=0, documents_per_language=2000, queries_per_language=600)
    queries = dict(atlas.queries.select("query_id", "text").iter_rows())
    documents = {
        name: f"{title}\n{text}" for name, title, text in atlas.corpus.select("doc_id", "title", "text").rows()
    }
    pairs = [(q, d) for q, d, grade in atlas.qrels.select("query_id", "doc_id", "relevance").iter_rows() if grade]
    return queries, documents, pairs


def write_inputs(
    folder: Path, *, quad16: Path | None, language: str, num_rows: int, num_negatives: int, num_layers: int
) -> int:
    """Write rows.jsonl and the encoder, without dropout, which would be drawn differently by each side.

    Each query and each positive comes once; negatives are drawn from the whole corpus. Both sides' batches then hold
    the same texts, in whatever order they take them.
    """
    queries, documents, pairs = read_quad16(quad16, language) if quad16 else read_atlas(language)
    rng = random.Random(0)
    rng.shuffle(pairs)
    names, rows = sorted(documents), []
    used: set[str] = set()
    for query, positive in pairs:
        if len(rows) == num_rows:
            break
        if query in used or positive in used:
            continue
        used |= {query, positive}
        negatives = [name for name in rng.sample(names, num_negatives + 1) if name != positive][:num_negatives]
        rows.append(
            {"query": queries[query], "positive": documents[positive], "negatives": [documents[n] for n in negatives]}
        )
    if len(rows) < num_rows:
        raise ValueError(f"{quad16 or 'atlas'}: expected {num_rows} queries, got {len(rows)}. Lower --steps.")
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    encoder = folder / "encoder"
    write_encoder(
        "bundled:multilingual-e5-small",
        encoder,
        num_layers=num_layers,
        pooling="mean",
        query_prompt="query: ",
        document_prompt="passage: ",
    )
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    write_json(encoder / "config.json", read_json(encoder / "config.json") | no_dropout)
    return len(rows)


def read_rows(folder: Path) -> list[Row]:
    """Read what `write_inputs` wrote."""
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
