"""What every judge reads of the inputs: the train queries, and the documents of the pairs it judges."""

import polars as pl

from tasks.models.texts import document_text


def train_queries(queries: pl.LazyFrame) -> pl.DataFrame:
    """Return the queries of the train split: query_id, text, sorted by query_id."""
    return queries.filter(pl.col("split") == "train").select("query_id", "text").sort("query_id").collect()


def documents(corpus: pl.LazyFrame, pairs: pl.DataFrame, *, text: str) -> pl.DataFrame:
    """Read the texts of the documents in `pairs` alone.

    Args:
        corpus: doc_id, title, text.
        pairs: any rows with a doc_id.
        text: as `document_text` takes it.

    Returns:
        doc_id, text, each document once, in no particular order.
    """
    needed = pairs.select("doc_id").unique().lazy()
    return corpus.join(needed, on="doc_id", how="semi").select("doc_id", text=document_text(text)).collect()
