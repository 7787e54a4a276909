"""What the generated queries found -> new candidates of the queries that they were written for."""

import polars as pl


def generated_queries(generated: pl.DataFrame) -> pl.DataFrame:
    """Turn the good rows of `generated` into queries; each one's parent is the query that it was written for."""
    return (
        generated.filter(pl.col("status") == "good")
        .select("query_id", "text", split=pl.lit("train"), origin=pl.lit("generated"), parent="parent")
        .sort("query_id")
    )


def collect_candidates(
    fused: pl.DataFrame, asked: pl.DataFrame, ledger: pl.DataFrame, qrels: pl.DataFrame
) -> pl.DataFrame:
    """Give each query the documents that its generated queries found and that are no candidates of it yet.

    Documents judged relevant stay in even then: the decision needs their scores to compare with, and drops them.

    Args:
        fused: of the generated queries: query_id, doc_id, rank, score, systems.
        asked: the generated queries: query_id, text, parent.
        ledger: the given queries' hard_negatives: query_id, doc_id.
        qrels: the given queries' judgements: query_id, doc_id, relevance.

    Returns:
        new_candidates: query_id (the given query), doc_id, rank, score, systems (all for the generated query),
        generated_id, generated_text; a document that several found once, with its best rank, equal ranks by
        generated_id. Sorted by query_id, rank, doc_id.
    """
    pair = ["query_id", "doc_id"]
    relevant = qrels.filter(pl.col("relevance") > 0).select(pair)
    known = ledger.select(pair).join(relevant, on=pair, how="anti")
    return (
        fused.rename({"query_id": "generated_id"})
        .join(asked.select("parent", generated_id="query_id", generated_text="text"), on="generated_id")
        .rename({"parent": "query_id"})
        .join(known, on=pair, how="anti")
        .sort("query_id", "rank", "generated_id", "doc_id")
        .unique(pair, keep="first", maintain_order=True)
        .sort("query_id", "rank", "doc_id")
        .select(*pair, "rank", "score", "systems", "generated_id", "generated_text")
    )
