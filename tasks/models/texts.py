"""What of a document is searched: title and text, or the text alone; and which texts are the same."""

from typing import Literal

import polars as pl

DocumentText = Literal["title_and_text", "text"]


def document_text(text: str) -> pl.Expr:
    """Return the expression that makes a document's text of the columns title and text.

    Args:
        text: `title_and_text` puts the title on a line of its own before the text, where there is one; or `text`. Where
            the text is empty, it is the title alone, either way.

    Raises:
        ValueError: neither of the two.
    """
    alone = pl.when(pl.col("text") == "").then(pl.col("title")).otherwise(pl.col("text")).alias("text")
    if text == "text":
        return alone
    if text != "title_and_text":
        raise ValueError(f"document text: expected 'title_and_text' or 'text', got '{text}'. Correct the setting.")
    titled = pl.concat_str("title", pl.lit("\n"), "text")
    lacking = (pl.col("title").str.strip_chars() == "") | (pl.col("text") == "")
    return pl.when(lacking).then(alone).otherwise(titled)


def same_text(column: str) -> pl.Expr:
    """Return the expression that makes texts equal which differ in Unicode's form, case or white space alone.

    Such texts are copies of each other: what answers a question under one id answers it under another.
    """
    folded = pl.col(column).str.normalize("NFKC").str.to_uppercase().str.to_lowercase()  # by upper case: ß is ss
    return folded.str.normalize("NFKC").str.replace_all(r"\s+", " ").str.strip_chars()


def find_echoes(queries: pl.LazyFrame, documents: pl.LazyFrame) -> pl.DataFrame:
    """Find the documents that say nothing but a query, with or without their title: no negatives of it, nor answers.

    Args:
        queries: query_id, text.
        documents: doc_id, title, text.

    Returns:
        query_id, doc_id, each pair once, in no particular order.
    """
    asked = queries.select("query_id", same=same_text("text").hash())
    whole = documents.select("doc_id", document_text("title_and_text"))
    said = pl.concat([documents.select("doc_id", "text"), whole]).select("doc_id", same=same_text("text").hash())
    return said.join(asked, on="same").select("query_id", "doc_id").unique().collect(engine="streaming")
