"""Judgements and a ledger -> judgements to train on: what the judge finds highly relevant becomes a positive."""

import polars as pl

from tasks.denoise.select import RELABELLED


def relabel(qrels: pl.DataFrame, ledger: pl.DataFrame) -> pl.DataFrame:
    """Add the relabelled candidates to the judgements as relevant; a pair that people judged stays as it is.

    Args:
        qrels: query_id, doc_id, relevance.
        ledger: query_id, doc_id, reason and others.

    Returns:
        query_id, doc_id, relevance (int32), sorted by query_id and doc_id.
    """
    pair = ["query_id", "doc_id"]
    added = ledger.filter(pl.col("reason") == RELABELLED).select(*pair, relevance=pl.lit(1, dtype=pl.Int32))
    return pl.concat([qrels, added.join(qrels, on=pair, how="anti").unique()]).sort(pair)
