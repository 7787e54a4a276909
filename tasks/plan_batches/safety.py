"""Which documents must not stand as negatives of which query."""

import polars as pl

HARMLESS_REASONS = ("beyond_num_negatives",)  # dropped, but not for what it is


def unsafe_pairs(queries: pl.DataFrame, qrels: pl.DataFrame, ledger: pl.DataFrame) -> pl.DataFrame:
    """List the documents that are, or may well be, relevant to a query.

    A document is unsafe for a query if the qrels judge it relevant, or if the ledger did not keep it and gives it a
    grade of 1 or 2 or dropped it for what it is, whatever the strategy. Queries with the same text, whichever their
    split, share what is known about them.

    Args:
        queries: one language's queries of all splits: query_id, text.
        qrels: all of its judgements: query_id, doc_id, relevance (0 = not relevant).
        ledger: its hard_negatives: query_id, doc_id, decision, reason, grade.

    Returns:
        query_id, doc_id; each pair once, sorted.
    """
    suspect = ~pl.col("reason").is_in(HARMLESS_REASONS) | (pl.col("grade") > 0)
    dropped = (pl.col("decision") != "kept") & suspect
    known = pl.concat(
        [
            qrels.filter(pl.col("relevance") > 0).select("query_id", "doc_id"),
            ledger.filter(dropped).select("query_id", "doc_id"),
        ]
    )
    text = queries.select("query_id", text=pl.col("text").str.strip_chars().str.to_lowercase())
    twins = (
        text.join(text.rename({"query_id": "twin"}), on="text")
        .filter(pl.col("query_id") != pl.col("twin"))
        .select("query_id", "twin")
    )
    shared = known.join(twins, on="query_id").select(query_id="twin", doc_id="doc_id")
    return pl.concat([known, shared]).unique().sort("query_id", "doc_id")


def kept_pairs(ledger: pl.DataFrame, unsafe: pl.DataFrame) -> pl.DataFrame:
    """List the ledger's hard negatives.

    Args:
        ledger: hard_negatives of one language: query_id, doc_id, decision, hardness (1 = hardest).
        unsafe: what `unsafe_pairs` returns: none of it is a negative, though the ledger could not know.

    Returns:
        query_id, doc_id; sorted by query_id and hardness.
    """
    return (
        ledger.filter(pl.col("decision") == "kept")
        .join(unsafe, on=["query_id", "doc_id"], how="anti")
        .sort("query_id", "hardness", "doc_id")
        .select("query_id", "doc_id")
    )
