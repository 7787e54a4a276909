"""What comes after the ledger: rows of candidates that generated queries found, and judgements to train on."""

import polars as pl

from tasks.denoise.pairs import PAIR
from tasks.denoise.select import RELABELLED


def as_given(ledger: pl.DataFrame) -> pl.DataFrame:
    """Add where the rows come from, as of candidates that the query itself has found: origin, generated_id, …_text."""
    nothing = pl.lit(None, dtype=pl.String)
    return ledger.with_columns(origin=pl.lit("given"), generated_id=nothing, generated_text=nothing)


def extend_ledger(
    given: pl.DataFrame, later: pl.DataFrame, sources: pl.DataFrame, *, num_negatives: int
) -> pl.DataFrame:
    """Fill each query up to `num_negatives` hard negatives with the best of those that generated queries found.

    Nothing changes about the given rows. The safe new candidates follow them in hardness; those that a query does not
    need, or that came after it had enough, are dropped as `beyond_num_negatives`.

    Args:
        given: the ledger as `select_hard_negatives` made it.
        later: the ledger of the new candidates, made by the same rules; a pair that `given` holds is left out.
        sources: where each new candidate comes from: query_id, doc_id, generated_id, generated_text.
        num_negatives: negatives kept per query, at most.

    Returns:
        The ledger with origin (given | generated), generated_id and generated_text (null where given); sorted by
        query_id, origin (given first), rank, doc_id.
    """
    first = as_given(given)
    kept = given.filter(pl.col("decision") == "kept").group_by("query_id").agg(num_kept=pl.len().cast(pl.Int32))
    hardness = (pl.col("hardness") + pl.col("num_kept")).cast(pl.Int32)
    is_beyond = hardness > num_negatives
    second = (
        later.join(given, on=PAIR, how="anti")
        .join(kept, on="query_id", how="left")
        .with_columns(pl.col("num_kept").fill_null(0))
        .with_columns(
            decision=pl.when(is_beyond).then(pl.lit("dropped")).otherwise("decision"),
            reason=pl.when(is_beyond).then(pl.lit("beyond_num_negatives")).otherwise("reason"),
            hardness=pl.when(~is_beyond).then(hardness),
            origin=pl.lit("generated"),
        )
        .join(sources.select(*PAIR, "generated_id", "generated_text"), on=PAIR, how="left")
        .select(first.columns)
    )
    ledger = pl.concat([first, second])
    return ledger.sort("query_id", pl.col("origin") != "given", "rank", "doc_id")


def relabel(qrels: pl.DataFrame, ledger: pl.DataFrame) -> pl.DataFrame:
    """Add the relabelled candidates to the judgements as relevant; a pair that people judged stays as it is.

    Args:
        qrels: query_id, doc_id, relevance.
        ledger: query_id, doc_id, reason and others.

    Returns:
        query_id, doc_id, relevance (int32), sorted by query_id and doc_id.
    """
    added = ledger.filter(pl.col("reason") == RELABELLED).select(*PAIR, relevance=pl.lit(1, dtype=pl.Int32))
    return pl.concat([qrels, added.join(qrels, on=PAIR, how="anti").unique()]).sort(PAIR)
