"""Which pairs are trained on, and which are scored."""

import hashlib

import polars as pl

PAIR = ("query_id", "doc_id")

ALONE = "-alone"
"""Ends the judge's name where a pair had no reference though the judge uses references."""


def pairs_to_train(
    candidates: pl.DataFrame,
    qrels: pl.DataFrame,
    query_ids: pl.Series,
    *,
    max_queries: int,
    max_judged_negatives: int,
    num_presumed: int,
    presumed_from_rank: int,
    presumed_to_rank: int,
    num_easy: int,
    seed: int,
) -> pl.DataFrame:
    """Choose one language's training pairs.

    Args:
        candidates: query_id, doc_id, rank (fused, from 1).
        qrels: query_id, doc_id, relevance.
        query_ids: the train queries; those without a relevant document are left out.
        max_queries: queries, at most.
        max_judged_negatives: judged non-relevant documents per query, at most.
        num_presumed: unjudged candidates per query, taken for negatives.
        presumed_from_rank: their best rank.
        presumed_to_rank: their worst rank.
        num_easy: positives of other queries per query, not judged for it.
        seed: decides what is drawn; each draw depends on its own ids alone.

    Returns:
        query_id, doc_id, label (1 relevant, 0 not; int32), kind (positive | judged | presumed | easy), sorted by
        query_id and doc_id; a pair occurs once.
    """
    judged = qrels.filter(pl.col("query_id").is_in(query_ids.implode()))
    positive = judged.filter(pl.col("relevance") > 0).select(PAIR)
    chosen = _draw(positive.select("query_id").unique(), ("query_id",), max_queries, seed, per_query=False)
    positive = positive.join(chosen, on="query_id", how="semi")
    negative = judged.filter(pl.col("relevance") == 0).join(chosen, on="query_id", how="semi").select(PAIR)
    middling = pl.col("rank").is_between(presumed_from_rank, presumed_to_rank)
    unjudged = candidates.filter(middling).join(chosen, on="query_id", how="semi").join(judged, on=PAIR, how="anti")
    presumed = _draw(unjudged.select(PAIR), PAIR, num_presumed, seed)
    easy = _easy(positive, judged, num_easy, seed).join(presumed, on=PAIR, how="anti")
    kinds = {
        "positive": (positive, 1),
        "judged": (_draw(negative, PAIR, max_judged_negatives, seed), 0),
        "presumed": (presumed, 0),
        "easy": (easy, 0),
    }
    parts = [
        pairs.with_columns(label=pl.lit(label, dtype=pl.Int32), kind=pl.lit(kind))
        for kind, (pairs, label) in kinds.items()
    ]
    return pl.concat(parts).sort(PAIR)


def pairs_to_score(candidates: pl.DataFrame, qrels: pl.DataFrame, query_ids: pl.Series) -> pl.DataFrame:
    """Return every candidate and every judged document of the queries: query_id, doc_id, each once, sorted."""
    both = pl.concat([candidates.select(PAIR), qrels.select(PAIR)])
    return both.filter(pl.col("query_id").is_in(query_ids.implode())).unique().sort(PAIR)


def with_relevance(pairs: pl.DataFrame, qrels: pl.DataFrame) -> pl.DataFrame:
    """Add what people judged, null where nobody did: the judge takes other relevant documents as its reference."""
    return pairs.join(qrels.select(*PAIR, "relevance"), on=PAIR, how="left", maintain_order="left")


def pairs_to_weigh(candidates: pl.DataFrame, qrels: pl.DataFrame, trained: pl.DataFrame) -> pl.DataFrame:
    """Return the training pairs among everything that their evidence depends on: the pools of their queries.

    Args:
        candidates: query_id, doc_id and others.
        qrels: query_id, doc_id, relevance.
        trained: as `pairs_to_train` returns them.

    Returns:
        query_id, doc_id, label (null where the pair is not trained on), relevance (null = not judged), in_pool (of a
        candidate or a judged document), sorted by query_id and doc_id; a pair occurs once.
    """
    pool = pairs_to_score(candidates, qrels, trained["query_id"].unique()).with_columns(in_pool=pl.lit(True))
    table = pool.join(trained.select(*PAIR, "label"), on=PAIR, how="full", coalesce=True)
    return (
        table.with_columns(pl.col("in_pool").fill_null(False))
        .join(qrels.select(*PAIR, "relevance"), on=PAIR, how="left")
        .select(*PAIR, "label", "relevance", "in_pool")
        .sort(PAIR)
    )


def with_texts(pairs: pl.DataFrame, queries: pl.DataFrame, documents: pl.DataFrame) -> pl.DataFrame:
    """Add the columns query and document to pairs.

    Args:
        pairs: query_id, doc_id and others.
        queries: query_id, text.
        documents: doc_id, text.

    Raises:
        ValueError: a query or document has no text.
    """
    table = pairs.join(queries.select("query_id", query="text"), on="query_id", how="left", maintain_order="left").join(
        documents.select("doc_id", document="text"), on="doc_id", how="left", maintain_order="left"
    )
    lost = table.filter(pl.col("query").is_null() | pl.col("document").is_null())
    if len(lost):
        raise ValueError(
            f"denoise: expected a text for every query and document, got none for {len(lost)} pairs such as "
            f"{lost.select(PAIR).row(0)}. Make candidates and judgements from the same corpus and queries."
        )
    return table


def _easy(positive: pl.DataFrame, judged: pl.DataFrame, num_easy: int, seed: int) -> pl.DataFrame:
    """Give each query the positives of queries that follow it in a drawn order."""
    order = sorted(positive["query_id"].unique(), key=lambda query_id: draw_key(seed, query_id))
    of_query = {str(key[0]): group["doc_id"].sort()[0] for key, group in positive.group_by("query_id")}
    rows = [
        (query_id, of_query[order[(place + step) % len(order)]])
        for place, query_id in enumerate(order)
        for step in range(1, min(num_easy, len(order) - 1) + 1)
    ]
    table = pl.DataFrame(rows, schema={"query_id": pl.String, "doc_id": pl.String}, orient="row").unique()
    return table.join(judged, on=PAIR, how="anti")


def _draw(
    rows: pl.DataFrame, columns: tuple[str, ...], number: int, seed: int, *, per_query: bool = True
) -> pl.DataFrame:
    """Keep `number` rows, of each query or of all: those with the smallest hash of their ids."""
    keys = pl.Series("key", [draw_key(seed, *row) for row in rows.select(columns).iter_rows()], dtype=pl.String)
    ordered = rows.with_columns(keys).sort("key")
    kept = ordered.group_by("query_id", maintain_order=True).head(number) if per_query else ordered.head(number)
    return kept.select(columns)


def draw_key(seed: int, *ids: str) -> str:
    """What rows are drawn by, the smallest first: a hash of their ids, so that other rows never move it."""
    return hashlib.sha256("\0".join([str(seed), *ids]).encode()).hexdigest()
