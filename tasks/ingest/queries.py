"""Queries -> the queries dataset: every id once, a split for each."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import polars as pl

from tasks import groups
from tasks.ingest.rows import BadRow, Judgement, Query, bad_row

COLUMNS = {
    "query_id": pl.String,
    "text": pl.String,
    "split": pl.String,
    "origin": pl.String,
    "parent": pl.String,
}


def splits_of_judgements(judgements: Iterable[Judgement | BadRow]) -> dict[str, list[str]]:
    """Return for each query the splits whose qrels name it, sorted; bad rows are not looked at here."""
    splits: dict[str, set[str]] = {}
    for row in judgements:
        if isinstance(row, Judgement):
            splits.setdefault(row.query_id, set()).add(row.split)
    return {query_id: sorted(names) for query_id, names in splits.items()}


def with_splits(rows: Iterable[Query | BadRow], splits: Mapping[str, list[str]]) -> Iterator[Query | BadRow]:
    """Give each query the split whose qrels name it: BEIR keeps the queries of all splits in one file.

    A query that two splits name is a bad row; one that none names keeps the split "" and is not ours to use.
    """
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        naming = splits.get(row.query_id, [])
        if len(naming) > 1:
            got = f"'{row.query_id}' in {' and '.join(naming)}"
            yield bad_row(row.source, row.line, "query in two splits", got=got, field="query_id", content=row.text)
        else:
            yield row._replace(split=naming[0] if naming else "")


def unique_queries(rows: Iterable[Query | BadRow], earlier: Iterable[Query] = ()) -> Iterator[Query | BadRow]:
    """Turn queries whose id came before, here or among the `earlier` ones, into bad rows."""
    firsts: dict[str, Query] = {row.query_id: row for row in earlier}
    for row in rows:
        if isinstance(row, BadRow) or row.query_id not in firsts:
            yield row
            if isinstance(row, Query):
                firsts[row.query_id] = row
            continue
        first = firsts[row.query_id]
        same = first.text == row.text
        reason = "duplicate id, same content" if same else "duplicate id, other content"
        got = f"'{row.query_id}' again, first in {first.source}, line {first.line}"
        yield bad_row(row.source, row.line, reason, got=got, field="query_id", content=row.text)


def queries_frame(rows: Iterable[Query]) -> pl.DataFrame:
    """Build the queries dataset.

    Args:
        rows: queries with unique ids; those with the split "" are left out.

    Returns:
        query_id, text, split, origin "given", parent null; sorted by query_id.
    """
    kept = [row for row in rows if row.split]
    return pl.DataFrame(
        {
            "query_id": [row.query_id for row in kept],
            "text": [row.text for row in kept],
            "split": [row.split for row in kept],
            "origin": ["given"] * len(kept),
            "parent": [None] * len(kept),
        },
        schema=COLUMNS,
    ).sort("query_id")


def hold_out_validation(
    queries: pl.DataFrame, qrels: pl.DataFrame, *, language: str, share: float, seed: int, say: Callable[[str], None]
) -> pl.DataFrame:
    """Turn a share of the train queries into validation queries, groups of them as a whole (see `tasks.groups`).

    Whether a group is held out follows from its name and the seed alone: the order of queries does not matter, and
    the same group in another language goes the same way.

    Args:
        queries: query_id, text and split, whatever else; splits other than train stay.
        qrels: query_id, doc_id, relevance.
        language: theirs.
        share: expected share of the train queries that is held out, 0..1.
        seed: decides which.
        say: is told of groups that were too large.

    Source: docs/method.md, stage 3 (the paper's B.4): 10 % of train is held out as validation.
    """
    here = pl.lit(language).alias("language")
    train = queries.filter(pl.col("split") == "train")
    found = groups.group_queries(train.with_columns(here), qrels.with_columns(here))
    held_out = [groups.fraction(seed, group) < share for group in found["group"]]
    is_held_out = pl.col("query_id").is_in(found.filter(pl.Series(held_out, dtype=pl.Boolean))["query_id"].implode())
    split = pl.when(is_held_out).then(pl.lit("validation")).otherwise("split")
    for line in groups.say_split(found):
        say(f"validation: {line}")
    return queries.with_columns(split=split)
