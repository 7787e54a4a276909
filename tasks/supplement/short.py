"""Queries short of hard negatives: which they are, what was found by way of new queries, how short they still are."""

from collections.abc import Mapping

import polars as pl

from tasks.supplement.back_forward import Short


def count_kept(ledger: pl.DataFrame, train: pl.Series) -> pl.DataFrame:
    """Count each train query's hard negatives: query_id, num_kept; a query without a candidate has 0. Sorted."""
    kept = ledger.filter(pl.col("decision") == "kept").group_by("query_id").agg(num_kept=pl.len().cast(pl.Int32))
    every = pl.DataFrame({"query_id": train}, schema={"query_id": pl.String}).sort("query_id")
    return every.join(kept, on="query_id", how="left", maintain_order="left").with_columns(
        pl.col("num_kept").fill_null(0)
    )


def find_short(ledger: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame, *, num_negatives: int) -> pl.DataFrame:
    """Find the train queries with fewer than `num_negatives` hard negatives.

    Args:
        ledger: hard_negatives: query_id, decision.
        queries: the train queries: query_id, text.
        qrels: query_id, doc_id, relevance.
        num_negatives: that every query shall have.

    Returns:
        query_id, text, missing (int32), positives (list of doc_id, sorted; empty where there are none); by query_id.
    """
    positives = qrels.filter(pl.col("relevance") > 0).group_by("query_id").agg(positives=pl.col("doc_id").sort())
    return (
        count_kept(ledger, queries["query_id"])
        .filter(pl.col("num_kept") < num_negatives)
        .join(queries.select("query_id", "text"), on="query_id")
        .join(positives, on="query_id", how="left")
        .select(
            "query_id",
            "text",
            missing=num_negatives - pl.col("num_kept"),
            positives=pl.col("positives").fill_null([]),
        )
        .sort("query_id")
    )


def with_passages(short: pl.DataFrame, passages: Mapping[str, str]) -> list[Short]:
    """Give short queries their positives' texts.

    Raises:
        ValueError: a positive has no text.
    """
    lost = {doc_id for ids in short["positives"] for doc_id in ids} - set(passages)
    if lost:
        raise ValueError(
            f"supplement: expected a text for every positive, got none for {len(lost)} such as '{min(lost)}'. Make "
            "judgements and corpus from the same collection."
        )
    return [
        Short(query_id, text, missing, [(doc_id, passages[doc_id]) for doc_id in positives])
        for query_id, text, missing, positives in short.iter_rows()
    ]


def generated_queries(generated: pl.DataFrame) -> pl.DataFrame:
    """Turn the good rows of `generated` into queries; each one's parent is the query that it was written for."""
    return (
        generated.filter(pl.col("status") == "good")
        .select("query_id", "text", split=pl.lit("train"), origin=pl.lit("generated"), parent="parent")
        .sort("query_id")
    )


def collect_candidates(
    fused: pl.DataFrame, queries: pl.DataFrame, ledger: pl.DataFrame, qrels: pl.DataFrame
) -> pl.DataFrame:
    """Give each query the documents that its generated queries found and that are no candidates of it yet.

    Documents judged relevant stay in even then: the decision needs their scores to compare with, and drops them.

    Args:
        fused: of the generated queries: query_id, doc_id, rank, score, systems.
        queries: the generated queries: query_id, text, parent.
        ledger: the given queries' hard_negatives: query_id, doc_id.
        qrels: the given queries' judgements: query_id, doc_id, relevance.

    Returns:
        new_candidates: query_id (the given query), doc_id, rank, score, systems (all for the generated query),
        generated_id, generated_text; a document that several found once, with its best rank, equal ranks by
        generated_id. Sorted by query_id, rank, doc_id.
    """
    pair = ["query_id", "doc_id"]
    relevant = qrels.filter(pl.col("relevance") > 0).select(pair)
    judged = ledger.select(pair).join(relevant, on=pair, how="anti")
    return (
        fused.rename({"query_id": "generated_id"})
        .join(queries.select("parent", generated_id="query_id", generated_text="text"), on="generated_id")
        .rename({"parent": "query_id"})
        .join(judged, on=pair, how="anti")
        .sort("query_id", "rank", "generated_id", "doc_id")
        .unique(pair, keep="first", maintain_order=True)
        .sort("query_id", "rank", "doc_id")
        .select(*pair, "rank", "score", "systems", "generated_id", "generated_text")
    )


def shortfalls(
    before: pl.DataFrame, after: pl.DataFrame, generated: pl.DataFrame, train: pl.Series, *, num_negatives: int
) -> pl.DataFrame:
    """Say how far each short query was filled up.

    Args:
        before: the ledger as denoising made it: query_id, decision.
        after: the ledger with what generated queries brought.
        generated: parent, status, reason.
        train: ids of the train queries.
        num_negatives: that every query shall have.

    Returns:
        One row per query that was short, by query_id: num_given, num_generated (negatives of either origin),
        num_missing (still), num_queries (good generated ones), num_bad (attempts), reason (null where nothing is
        missing; `too_few_safe` where the new queries brought too little; else the last attempt's).
    """
    given = count_kept(before, train).rename({"num_kept": "num_given"})
    now = count_kept(after, train)
    good = pl.col("status") == "good"
    tried = (
        generated.sort("parent", "attempt")
        .group_by("parent", maintain_order=True)
        .agg(
            num_queries=good.sum().cast(pl.Int32),
            num_bad=(~good).sum().cast(pl.Int32),
            last=pl.col("reason").drop_nulls().last(),
        )
    )
    missing = (num_negatives - pl.col("num_kept")).cast(pl.Int32)
    return (
        given.filter(pl.col("num_given") < num_negatives)
        .join(now, on="query_id")
        .join(tried, left_on="query_id", right_on="parent", how="left")
        .with_columns(pl.col("num_queries", "num_bad").fill_null(0), num_missing=missing)
        .with_columns(
            num_generated=pl.col("num_kept") - pl.col("num_given"),
            reason=pl.when(pl.col("num_missing") > 0).then(
                pl.when(pl.col("num_queries") > 0).then(pl.lit("too_few_safe")).otherwise("last")
            ),
        )
        .select("query_id", "num_given", "num_generated", "num_missing", "num_queries", "num_bad", "reason")
        .sort("query_id")
    )


def summarise(rows: pl.DataFrame, *, num_negatives: int) -> str:
    """Put a language's shortfalls into a line: how many were short, how many still are."""
    still = rows.filter(pl.col("num_missing") > 0)
    brought, bad = int(rows["num_generated"].sum()), int(rows["num_bad"].sum())
    line = (
        f"{rows.height} train queries had fewer than {num_negatives} hard negatives; generated queries brought "
        f"{brought} ({bad} attempts were bad); {still.height} are still short"
    )
    reasons = still["reason"].value_counts().sort("reason").rows()
    return line + (": " + ", ".join(f"{count} {reason}" for reason, count in reasons) if reasons else "")
