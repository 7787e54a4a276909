"""Small frames and manifest facts for tests of the store."""

import polars as pl


def qrels(*doc_ids: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"query_id": ["q1"] * len(doc_ids), "doc_id": list(doc_ids), "relevance": [1] * len(doc_ids)},
        schema={"query_id": pl.String, "doc_id": pl.String, "relevance": pl.Int32},
    )


FACTS = {
    "step": "ingest_qrels",
    "code": "c",
    "arguments": {},
    "inputs": [],
    "versions": {},
    "created_at": "2026-01-01T00:00:00+00:00",
    "seconds": 0.0,
    "peak_memory_bytes": 0,
}
