"""Which queries belong together: one question in several languages or words, or questions that share an answer.

Who has learnt from one of them must not judge another, and must not be validated on it.
"""

import hashlib
import re

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tasks.models.texts import same_text

LARGEST = 0.2  # of a language's queries: a fold's share, beyond which a group is split by document
_SMALL = 10  # queries of a language are never too many
_PART = r"(?<![^\W_])(?:{})(?![^\W_])"
_QUERY = ("language", "query_id")


def parallel_id(text: str, language: str) -> str:
    """Return what the ids of one question, or document, in several languages share.

    That is the id without parts that are the language's tag or two small letters: `atlas-sw-q0012`, `atlas-fi-q0012`
    and `atlas-pt-BR-q0012` are one question.
    """
    return re.sub(_PART.format(f"{re.escape(language)}|[a-z]{{2}}"), "", text)


def group_queries(queries: pl.DataFrame, qrels: pl.DataFrame) -> pl.DataFrame:
    """Group queries that share a text, a relevant document or, but for the language, an id; also by way of others.

    A group that swallows a language, more than a fifth of its queries, is split by document: there queries are together
    that share their first relevant document (by id) or their text.

    Args:
        queries: language, query_id, text.
        qrels: language, query_id, doc_id, relevance; of other queries too.

    Returns:
        language, query_id, group (a text: the smallest document id that the group shares, so that the same group in
        another language has the same name), by_document (whether it was split); sorted by language and query_id.
    """
    relevant = qrels.filter(pl.col("relevance") > 0).join(queries, on=_QUERY, how="semi")
    documents = relevant.select(*_QUERY, key="d " + _parallel("doc_id"))
    questions = queries.select(*_QUERY, key="q " + _parallel("query_id"))
    texts = queries.select(*_QUERY, key="t " + same_text("text"))
    whole = _connect(pl.concat([documents, questions, texts]))

    sizes = whole.group_by("language", "group").len()
    num_queries = whole.group_by("language").agg(num_queries=pl.len())
    most = pl.max_horizontal(pl.lit(_SMALL), pl.col("num_queries") * LARGEST)
    swallowing = sizes.join(num_queries, on="language").filter(pl.col("len") > most)
    large = whole.join(swallowing, on="group", how="semi")
    first = pl.concat([documents, questions]).group_by(_QUERY).agg(pl.col("key").min())  # documents sort before ids
    parts = _connect(pl.concat([first, texts]).join(large, on=_QUERY, how="semi"))
    groups = [
        whole.join(large, on=_QUERY, how="anti").with_columns(by_document=pl.lit(value=False)),
        parts.with_columns(by_document=pl.lit(value=True)),
    ]
    return pl.concat(groups).sort(_QUERY)


def separable_size(own: pl.DataFrame, barred: pl.DataFrame) -> int:
    """Return the largest batch that leaves room to deal queries so that none has a document of its own as a negative.

    A batch takes one query whose only relevant document is d, and then no other query that d is barred to.

    Args:
        own: query, document: what is relevant to the queries to deal; copies of a document under one name.
        barred: query, document: what must not be a negative of a query, what is relevant to it included.

    Returns:
        The size, at most the number of queries; 0 where there are none.

    Source: docs/decisions/0005-batch-plan.md
    """
    own = own.unique()
    num_queries = own["query"].n_unique()
    alone = own.filter(pl.len().over("query") == 1).group_by("document").agg(alone=pl.len().cast(pl.Int64))
    others = barred.unique().group_by("document").agg(barred=pl.len().cast(pl.Int64))
    rooms = alone.join(others, on="document").select((num_queries - pl.col("barred")) // pl.col("alone") + 1)
    return int(min([num_queries, *rooms.to_series().to_list()]))


def say_split(groups: pl.DataFrame) -> list[str]:
    """Say which languages had a group that was split, a line each."""
    counts = groups.group_by("language").agg(pl.len(), num=pl.col("by_document").sum()).filter(pl.col("num") > 0)
    return [
        f"{language}: {num} of {total} train queries hang together by documents, texts or ids; split by document"
        for language, total, num in counts.sort("language").iter_rows()
    ]


def fraction(seed: int | str, group: str) -> float:
    """Return a number in 0..1 that seems random but is the same everywhere."""
    digest = hashlib.blake2b(f"{seed}:{group}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _parallel(column: str) -> pl.Expr:
    pair = pl.struct("language", column)
    return pair.map_elements(lambda row: parallel_id(row[column], row["language"]), return_dtype=pl.String)


def _connect(keys: pl.DataFrame) -> pl.DataFrame:
    """Group queries that are connected by keys: language, query_id, group (the smallest key)."""
    queries = keys.select(_QUERY).unique().sort(_QUERY).with_row_index("query")
    names = keys.select("key").unique().sort("key").with_row_index("number")
    edges = keys.join(queries, on=_QUERY).join(names, on="key").select("query", "number").to_numpy().astype(np.int64)
    size = len(queries) + len(names)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], len(queries) + edges[:, 1])), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    of_keys = names.with_columns(component=component[len(queries) :])
    smallest = of_keys.group_by("component").agg(group=pl.col("key").min())
    return (
        queries.with_columns(component=component[: len(queries)])
        .join(smallest, on="component", how="left")
        .select(*_QUERY, "group")
    )
