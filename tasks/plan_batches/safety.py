"""Which documents must not stand as negatives of which query."""

import polars as pl

HARMLESS_REASONS = ("beyond_num_negatives",)  # dropped, but not for what it is


def is_unsafe() -> pl.Expr:
    """Say of a ledger's row whether its document is, or may well be, relevant to its query.

    That is so if the ledger did not keep it and gives it a grade of 1 or 2 or dropped it for what it is, whatever the
    strategy; a verdict that could not be read is a reason like any other. Needs decision, reason and grade.
    """
    suspect = ~pl.col("reason").is_in(HARMLESS_REASONS) | (pl.col("grade") > 0)
    return ((pl.col("decision") != "kept") & suspect).fill_null(False)


def is_judged_relevant() -> pl.Expr:
    """Say of a row of the qrels whether its document is known to be relevant to its query."""
    return pl.col("relevance") > 0


def same_text() -> pl.Expr:
    """Hash a query's text: queries with equal hashes share what is known about them, whichever their split.

    White space around it and capitals don't count. Two texts that share a hash by chance are only treated with more
    care than they need.
    """
    return pl.col("text").str.strip_chars().str.to_lowercase().hash()
