"""Exact dense search over shards. Shapes: Q queries, N documents of a shard, P queries asked or pairs, E encoders.

Candidates are found in float32, whose last digits change with the shapes of a batch, and scored again in float64, where
the products are exact (`vectors.exact_products`). More of them are asked for until the gap between the last one found
and the last that counts is wider than float32's rounding. Hence the same ranking for any shard size, batch, thread
count and device.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.ahead import made_ahead
from tasks.retrieve.products import Best, Products, TopProducts
from tasks.retrieve.vectors import Doubles, Positions, Vectors, check_sizes, exact_products, weighted_sum

_EXTRA = 32  # candidates beyond the depth, so that the rough search is rarely asked twice
BEST = pl.Schema({"query": pl.Int32, "doc_id": pl.String, "score": pl.Float64})


def search_shards(
    shards: Iterable[pl.DataFrame],
    queries: pl.DataFrame,
    *,
    system: str,
    depth: int,
    top_products: TopProducts,
    advance: Callable[[int], None],
) -> pl.DataFrame:
    """Rank all documents for each query by the inner product of their vectors.

    Args:
        shards: the documents' embeddings: id, vector; one shard at a time is in memory.
        queries: the queries' embeddings: id, vector of the same size.
        system: name of the retriever.
        depth: documents per query, at most.
        top_products: finds the candidates of a shard.
        advance: is told how many documents are newly done.

    Returns:
        candidates: query_id, doc_id, system, rank (from 1), score; by query_id and rank. Equal scores rank by doc_id.
        A document is ranked for a query of the same id too.

    Raises:
        ValueError: the vectors of documents and queries differ in size.
    """
    asked = Vectors.of({system: queries.sort("id")})
    scale_QE = np.ones((len(asked.ids), 1))
    wrapped = ({system: shard} for shard in shards)
    best = search_vectors(wrapped, asked, scale_QE, depth=depth, top_products=top_products, advance=advance)
    return as_candidates(best, asked.ids, system)


def search_vectors(
    shards: Iterable[Mapping[str, pl.DataFrame]],
    queries: Vectors,
    scale_QE: Doubles,
    *,
    depth: int,
    top_products: TopProducts,
    advance: Callable[[int], None],
) -> pl.DataFrame:
    """Rank all documents by the sum of several encoders' inner products, each times its scale.

    Args:
        shards: by encoder: id, vector; the same ids for every encoder.
        queries: the queries' vectors of each encoder.
        scale_QE: factor of each query and encoder (by name), 0 or more.
        depth: documents per query, at most.
        top_products: finds the candidates of a shard.
        advance: is told how many documents are newly done.

    Returns:
        query (position in `queries`), doc_id, score (float64), by query and descending score; equal scores by doc_id.

    Raises:
        ValueError: the vectors of documents and queries differ in size, or the encoders' documents differ.
    """
    plain = bool((scale_QE == 1.0).all())
    query_QD = queries.concatenated(None if plain else scale_QE)
    products = top_products(query_QD)
    query_length_Q = _lengths(query_QD)
    best = pl.DataFrame(schema=BEST)
    for documents, document_ND, longest in made_ahead(_read(shards, queries, products), threaded=products.ahead):
        if len(documents.ids) and len(query_QD):
            # the sum's rounding and that of the scaled query, over-estimated (Higham 2002, section 3.1)
            rounding_Q = 1.01 * (query_QD.shape[1] + 2) * 2.0**-24 * longest * query_length_Q
            worst_Q = _worst(best, len(query_QD), depth)
            query_P, document_P = _possible_pairs(
                products.of(document_ND), len(document_ND), rounding_Q, worst_Q, depth=depth
            )
            score_P = weighted_sum(exact_products(queries, documents, query_P, document_P), scale_QE[query_P])
            scored = pl.DataFrame(
                {"query": query_P, "doc_id": documents.ids.gather(document_P), "score": score_P}, schema=BEST
            )
            best = keep_best(pl.concat([best, scored.filter(pl.Series(score_P >= worst_Q[query_P]))]), depth)
        advance(len(documents.ids))
    return best


def _read(
    shards: Iterable[Mapping[str, pl.DataFrame]], queries: Vectors, products: Products
) -> Iterator[tuple[Vectors, NDArray[Any], float]]:
    """Yield each shard's vectors, side by side as the products want them, and the greatest length."""
    for shard in shards:
        documents = Vectors.of(shard, dtype=products.dtype)
        check_sizes(queries, documents)
        document_ND = documents.concatenated()
        yield documents, document_ND, float(_lengths(document_ND).max(initial=0.0))


def as_candidates(best: pl.DataFrame, query_ids: pl.Series, system: str) -> pl.DataFrame:
    """Return the best documents of each query (query, doc_id, score, in order) as rows of `candidates`."""
    rank = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("query")
    return best.select(
        query_ids.gather(best["query"]).alias("query_id"),
        "doc_id",
        pl.lit(system).alias("system"),
        rank.alias("rank"),
        pl.col("score").cast(pl.Float32),
    )


def without_own_documents(candidates: pl.DataFrame, depth: int) -> pl.DataFrame:
    """Leave out the documents whose id is the query's, and rank what is left anew, down to a depth.

    Args:
        candidates: query_id, doc_id, rank and others, by query_id and rank, one deeper than is wanted.
        depth: documents per query, at most.

    Source: BEIR (Thakur et al. 2021), whose evaluation leaves out identical ids: in ArguAna and Quora the queries are
    documents, and each finds itself first.
    """
    rank = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("query_id")
    others = candidates.filter(pl.col("query_id") != pl.col("doc_id")).with_columns(rank=rank)
    return others.filter(pl.col("rank") <= depth)


def keep_best(scored: pl.DataFrame, depth: int) -> pl.DataFrame:
    """Keep each query's best documents: query, doc_id, score, in order; equal scores by doc_id."""
    ordered = scored.sort("query", "score", "doc_id", descending=[False, True, False])
    return ordered.filter(pl.int_range(pl.len()).over("query") < depth)


def _lengths(vector_ND: NDArray[Any]) -> Doubles:
    return np.asarray(np.sqrt(np.einsum("nd,nd->n", vector_ND, vector_ND, dtype=np.float64)))


def _worst(best: pl.DataFrame, num_queries: int, depth: int) -> Doubles:
    """Score of each query's last candidate; -inf where there is still room."""
    worst_Q = np.full(num_queries, -np.inf)
    full = best.group_by("query").agg(pl.len(), pl.col("score").min()).filter(pl.col("len") == depth)
    worst_Q[full["query"].to_numpy()] = full["score"].to_numpy()
    return worst_Q


def _possible_pairs(
    best_of: Best, num_documents: int, rounding_Q: Doubles, worst_Q: Doubles, *, depth: int
) -> tuple[Positions, Positions]:
    """Return every pair of query and document, as positions, that can be among the query's best."""
    number = min(depth + _EXTRA, num_documents)
    unsure_P = np.arange(len(rounding_Q))
    query_parts, document_parts = [], []
    while unsure_P.size:
        rough_PC, position_PC = best_of(unsure_P, number)
        rounding_P = rounding_Q[unsure_P]
        needed_P = np.maximum(rough_PC[:, min(depth, number) - 1] - rounding_P, worst_Q[unsure_P])
        sure_P = (rough_PC[:, -1] + rounding_P < needed_P) | (number == num_documents)
        possible_PC = (rough_PC + rounding_P[:, None] >= needed_P[:, None]) & sure_P[:, None]
        row, column = np.nonzero(possible_PC)
        query_parts.append(unsure_P[row])
        document_parts.append(position_PC[row, column])
        unsure_P = unsure_P[~sure_P]
        number = min(4 * number, num_documents)
    return np.concatenate(query_parts), np.concatenate(document_parts)
