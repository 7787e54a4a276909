"""Raw input files for tests of ingest: JSONL, TSV, gzip; and small collections in each layout."""

import gzip
import json
from pathlib import Path

DOCUMENTS = [
    {"docid": "1#0", "title": "Turku", "text": "Turku on kaupunki."},
    {"docid": "1#1", "title": "Turku", "text": "Aurajoki virtaa Turun läpi."},
    {"docid": "2#0", "title": "", "text": "Oulu on pohjoisessa."},
]
QUERIES = {"train": [("q1", "Missä Turku on?"), ("q2", "Mikä joki?")], "dev": [("q3", "Missä Oulu on?")]}
QRELS = {"train": [("q1", "1#0", 1), ("q1", "2#0", 0), ("q2", "1#1", 1)], "dev": [("q3", "2#0", 1)]}


def write(path: Path, content: str | bytes) -> Path:
    """Write a file, gzipped where its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def jsonl(rows) -> str:
    """Render objects as JSONL."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def tsv(rows) -> str:
    """Render rows as TSV."""
    return "".join("\t".join(map(str, row)) + "\n" for row in rows)


def miracl(root: Path, language="fi", documents=DOCUMENTS, queries=QUERIES, qrels=QRELS) -> Path:
    """Lay a collection out as MIRACL does, the corpus in two shards."""
    corpus, topics = root / f"miracl-corpus-v1.0-{language}", root / f"miracl-v1.0-{language}"
    write(corpus / "docs-0.jsonl.gz", jsonl(documents[:2]))
    write(corpus / "docs-1.jsonl.gz", jsonl(documents[2:]))
    for split, rows in queries.items():
        write(topics / f"topics/topics.miracl-v1.0-{language}-{split}.tsv", tsv(rows))
    for split, judged in qrels.items():
        rows = [(query_id, "Q0", doc_id, relevance) for query_id, doc_id, relevance in judged]
        write(topics / f"qrels/qrels.miracl-v1.0-{language}-{split}.tsv", tsv(rows))
    return root


def beir(root: Path) -> Path:
    """Lay the same collection out as BEIR does: one file of queries for all splits, qrels with a header."""
    write(
        root / "corpus.jsonl",
        jsonl({"_id": row["docid"], "title": row["title"], "text": row["text"]} for row in DOCUMENTS),
    )
    rows = [{"_id": query_id, "text": text, "metadata": {}} for split in QUERIES.values() for query_id, text in split]
    write(root / "queries.jsonl", jsonl([*rows, {"_id": "t1", "text": "A test query", "metadata": {}}]))
    for split, judged in QRELS.items():
        write(root / f"qrels/{split}.tsv", tsv([("query-id", "corpus-id", "score"), *judged]))
    return root


def passages(root: Path) -> Path:
    """Lay the same collection out as MIRACL's train JSONL: each query carries its judged passages."""
    by_id = {row["docid"]: row for row in DOCUMENTS}
    for split, queries in QUERIES.items():
        rows = [
            {
                "query_id": query_id,
                "query": text,
                "positive_passages": [by_id[doc] for query, doc, grade in QRELS[split] if query == query_id and grade],
                "negative_passages": [
                    by_id[doc] for query, doc, grade in QRELS[split] if query == query_id and not grade
                ],
            }
            for query_id, text in queries
        ]
        write(root / f"{split}.jsonl.gz", jsonl(rows))
    return root
