"""What of a document is searched: title and text, or the text alone; and which texts are the same."""

from typing import Literal

import polars as pl

DocumentText = Literal["title_and_text", "text"]

# Soft hyphens, zero-width characters, marks of direction, variation selectors; and what Hebrew and Arabic may leave
# out: vowel signs, and the stroke that widens a word.
_UNSEEN = (
    "[\u00ad\u034f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u061c\u0640\u064b-\u0652\u0670\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\U000e0100-\U000e01ef]"
)


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

    So do texts that differ in what is not seen, or may be left out. They are copies of each other: what answers a
    question under one id answers it under another.
    """
    seen = pl.col(column).str.normalize("NFKC").str.replace_all(_UNSEEN, "")
    folded = (
        seen.str.to_uppercase().str.to_lowercase().str.replace_all("i\u0307", "i")
    )  # by upper case: ß is ss; İ is i
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
