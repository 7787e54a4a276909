"""Exact dense search over shards. Shapes: Q queries, N documents of a shard, D vector size, C candidates of a query.

FAISS finds the candidates in float32, whose last digits change with the shapes of a batch. So the candidates are scored
again in float64, where it is exact: a product of two float16 numbers is a multiple of 2^-48, and sums below 32 of such
fit into float64's 53 bits, in any order. And FAISS is asked again for more, until the gap between its last candidate
and the last that counts is wider than its rounding. Hence the same ranking for any shard size, batch and thread count.
"""

from collections.abc import Callable, Iterable

import faiss
import numpy as np
import polars as pl
from numpy.typing import NDArray

_EXTRA = 32  # candidates beyond the depth, so that FAISS is rarely asked twice
_NUMBERS = 4_000_000  # float64 numbers that are gathered at once for scoring
_BEST = pl.Schema({"query": pl.Int32, "doc_id": pl.String, "score": pl.Float64})

Floats = NDArray[np.float32]


def search_shards(
    shards: Iterable[pl.DataFrame],
    queries: pl.DataFrame,
    *,
    system: str,
    depth: int,
    threads: int,
    advance: Callable[[int], None],
) -> pl.DataFrame:
    """Rank all documents for each query by the inner product of their vectors.

    Args:
        shards: the documents' embeddings: id, vector; one shard at a time is in memory.
        queries: the queries' embeddings: id, vector of the same size.
        system: name of the retriever.
        depth: documents per query, at most.
        threads: threads of FAISS.
        advance: is told how many documents are done.

    Returns:
        candidates: query_id, doc_id, system, rank (from 1), score; by query_id and rank. Equal scores rank by doc_id.
        A document is ranked for a query of the same id too.

    Raises:
        ValueError: the vectors of documents and queries differ in size.
    """
    faiss.omp_set_num_threads(threads)
    queries = queries.sort("id")
    query_QD = _matrix(queries)
    best = pl.DataFrame(schema=_BEST)
    done = 0
    for shard in shards:
        document_ND = _matrix(shard)
        if document_ND.shape[1] != query_QD.shape[1]:
            raise ValueError(
                f"search: expected documents and queries of one encoder, got vectors of {document_ND.shape[1]} and "
                f"{query_QD.shape[1]} numbers. Embed both with the same encoder."
            )
        if len(document_ND) and len(query_QD):
            found = _search_shard(query_QD, document_ND, shard["id"], _worst(best, len(query_QD), depth), depth)
            best = _keep_best(pl.concat([best, found]), depth)
        done += shard.height
        advance(done)
    rank = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("query")
    return best.select(
        queries["id"].gather(best["query"]).alias("query_id"),
        "doc_id",
        pl.lit(system).alias("system"),
        rank.alias("rank"),
        pl.col("score").cast(pl.Float32),
    )


def _matrix(embeddings: pl.DataFrame) -> Floats:
    return np.ascontiguousarray(embeddings["vector"].to_numpy(), dtype=np.float32)


def _worst(best: pl.DataFrame, num_queries: int, depth: int) -> NDArray[np.float64]:
    """Score of each query's last candidate; -inf where there is still room."""
    worst_Q = np.full(num_queries, -np.inf)
    full = best.group_by("query").agg(pl.len(), pl.col("score").min()).filter(pl.col("len") == depth)
    worst_Q[full["query"].to_numpy()] = full["score"].to_numpy()
    return worst_Q


def _keep_best(found: pl.DataFrame, depth: int) -> pl.DataFrame:
    ordered = found.sort("query", "score", "doc_id", descending=[False, True, False])
    return ordered.filter(pl.int_range(pl.len()).over("query") < depth)


def _search_shard(
    query_QD: Floats, document_ND: Floats, doc_ids: pl.Series, worst_Q: NDArray[np.float64], depth: int
) -> pl.DataFrame:
    """Return every document of the shard that can be among its query's best, with its exact score."""
    rounding = query_QD.shape[1] * 2.0**-24 * _longest(query_QD) * _longest(document_ND)
    wanted = min(depth + _EXTRA, len(document_ND))
    asked_P = np.arange(len(query_QD))
    found = []
    while asked_P.size:
        rough_PC, position_PC = faiss.knn(query_QD[asked_P], document_ND, wanted, metric=faiss.METRIC_INNER_PRODUCT)
        needed_P = np.maximum(rough_PC[:, min(depth, wanted) - 1] - rounding, worst_Q[asked_P])
        sure_P = (rough_PC[:, -1] + rounding < needed_P) | (wanted == len(document_ND))
        found.append(_score_exactly(query_QD, document_ND, doc_ids, asked_P[sure_P], position_PC[sure_P]))
        asked_P = asked_P[~sure_P]
        wanted = min(4 * wanted, len(document_ND))
    kept = pl.concat(found)
    worst = pl.Series(worst_Q).gather(kept["query"])
    return kept.filter(kept["score"] >= worst)


def _longest(vector_ND: Floats) -> float:
    return float(np.linalg.norm(vector_ND, axis=1).max())


def _score_exactly(
    query_QD: Floats,
    document_ND: Floats,
    doc_ids: pl.Series,
    number_P: NDArray[np.int64],
    position_PC: NDArray[np.int64],
) -> pl.DataFrame:
    scored = [pl.DataFrame(schema=_BEST)]
    rows = max(1, _NUMBERS // (position_PC.shape[1] * query_QD.shape[1]))
    for start in range(0, len(number_P), rows):
        number_B, position_BC = number_P[start : start + rows], position_PC[start : start + rows]
        query_BD1 = query_QD[number_B].astype(np.float64)[:, :, None]
        score_BC = (document_ND[position_BC].astype(np.float64) @ query_BD1)[:, :, 0]
        scored.append(
            pl.DataFrame(
                {
                    "query": np.repeat(number_B, position_BC.shape[1]),
                    "doc_id": doc_ids.gather(position_BC.ravel()),
                    "score": score_BC.ravel(),
                },
                schema=_BEST,
            )
        )
    return pl.concat(scored)
