"""Fuse systems exactly: search all encoders' vectors put together. Shapes: Q queries, E encoders, S systems, P pairs.

With unit vectors, the inner product of a weighted concatenation is the weighted sum of the encoders' cosines. So every
document of the corpus is ranked by that sum, not only those that some system returned, and no score is assumed.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import polars as pl

from tasks.retrieve.fuse import Moments, query_moments
from tasks.retrieve.products import TopProducts
from tasks.retrieve.search import search_vectors
from tasks.retrieve.vectors import Doubles, Vectors, exact_products, weighted_sum

Shards = Callable[[], Iterable[Mapping[str, pl.DataFrame]]]


def concatenate_encoders(
    shards: Shards,
    queries: Mapping[str, pl.DataFrame],
    candidates: pl.DataFrame,
    *,
    standardise: str,
    moments: Moments,
    weights: Mapping[str, float],
    top_k: int,
    top_products: TopProducts,
    advance: Callable[[int], None],
) -> pl.DataFrame:
    """Rank the corpus by the weighted sum of all encoders' scores, and of what systems without vectors returned.

    A document's score is the sum over the systems of weight * (score - mean) / deviation, as in z_score fusion, but an
    encoder's score is known for every document. A system without vectors (BM25) gives a document that it did not return
    the lowest of its scores for the query; so its candidates and the best of the encoders' sum hold the best of
    the whole corpus. A system whose scores don't differ says nothing. With `none` a score is the plain weighted sum
    of cosines, and systems without vectors are told of but don't count: their scores have another unit.

    Args:
        shards: gives the documents' embeddings (id, vector) by system, shard by shard; called twice.
        queries: the queries' embeddings by system; the same queries for each.
        candidates: of these queries and all systems: query_id, doc_id, system, rank, score.
        standardise: mean and deviation over the `language`, over each `query`'s candidates, or `none`.
        moments: those of the language, by system (`language` only).
        weights: by system; 1 for one that is not named.
        top_k: documents kept per query.
        top_products: finds the best of a shard.
        advance: is told how many documents are newly done.

    Returns:
        fused: query_id, doc_id, rank (from 1), score, systems (system, rank, score; an encoder's score always, its rank
        where the document is among its candidates); by query_id and rank, equal scores by doc_id.

    Raises:
        ValueError: encoders with other rows than the first, or a candidate that is not among the documents.
    """
    asked = Vectors.of({system: frame.sort("id") for system, frame in queries.items()})
    number = pl.DataFrame({"query_id": asked.ids, "query": np.arange(len(asked.ids), dtype=np.int32)})
    candidates = candidates.join(number, on="query_id")
    names = sorted({*queries, *candidates["system"].unique()})
    scale_QS, offset_QS = _scales(candidates, number, names, standardise, moments, weights)
    dense = [names.index(system) for system in sorted(queries)]
    best = search_vectors(
        shards(), asked, scale_QS[:, dense], depth=top_k, top_products=top_products, advance=lambda done: None
    )
    sparse = [] if standardise == "none" else [place for place in range(len(names)) if place not in dense]
    others = candidates.filter(pl.col("system").is_in([names[place] for place in sparse]))
    pairs = pl.concat([best.select("query", "doc_id"), others.select("query", "doc_id")]).unique()
    scored, product_PE = _score_pairs(shards(), asked, pairs, advance)
    query_P = scored["query"].to_numpy()
    score_P = weighted_sum(product_PE, scale_QS[query_P][:, dense]) - offset_QS[:, dense].sum(axis=1)[query_P]
    for place in sparse:
        returned = candidates.filter(pl.col("system") == names[place])
        score_P = score_P + _sparse_part(scored, returned, scale_QS[:, place], offset_QS[:, place])
    products = {system: product_PE[:, block] for block, system in enumerate(sorted(queries))}
    return _tell(_keep_best(scored, score_P, top_k), candidates, names, products, asked.ids)


def _scales(
    candidates: pl.DataFrame,
    number: pl.DataFrame,
    names: list[str],
    standardise: str,
    moments: Moments,
    weights: Mapping[str, float],
) -> tuple[Doubles, Doubles]:
    """Return factor and subtrahend of each query and system; both 0 for a system that says nothing."""
    mean_QS, deviation_QS = (np.zeros((number.height, len(names))) for _ in range(2))
    if standardise == "none":
        deviation_QS[:] = 1.0
    elif standardise == "language":
        for place, system in enumerate(names):
            mean_QS[:, place], deviation_QS[:, place] = moments.get(system, (0.0, 0.0))
    else:
        rows = query_moments(candidates).join(number, on="query_id")
        cell = rows["query"].to_numpy(), np.array([names.index(system) for system in rows["system"]], dtype=np.int64)
        mean_QS[cell], deviation_QS[cell] = rows["mean"].to_numpy(), rows["deviation"].to_numpy()
    weight_S = np.array([weights.get(system, 1.0) for system in names])
    scale_QS = np.divide(weight_S, deviation_QS, out=np.zeros_like(deviation_QS), where=deviation_QS > 0)
    return scale_QS, scale_QS * mean_QS


def _score_pairs(
    shards: Iterable[Mapping[str, pl.DataFrame]], queries: Vectors, pairs: pl.DataFrame, advance: Callable[[int], None]
) -> tuple[pl.DataFrame, Doubles]:
    """Return the pairs by query and doc_id, and each encoder's exact inner product of each, shape [P, E]."""
    parts = [pairs.clear()]
    products = [np.empty((0, len(queries.blocks)))]
    for shard in shards:
        documents = Vectors.of(shard)
        place = pl.DataFrame({"doc_id": documents.ids, "place": np.arange(len(documents.ids), dtype=np.int64)})
        here = pairs.join(place, on="doc_id").sort("query", "doc_id")
        parts.append(here.select(pairs.columns))
        products.append(exact_products(queries, documents, here["query"].to_numpy(), here["place"].to_numpy()))
        advance(len(documents.ids))
    scored = pl.concat(parts)
    if scored.height != pairs.height:
        lost = pairs.join(scored, on=["query", "doc_id"], how="anti").sort("query", "doc_id")["doc_id"][0]
        raise ValueError(
            f"fuse: expected a vector of every candidate, got none of '{lost}'. Embed the corpus that the other "
            "systems searched."
        )
    order = scored.select(pl.arg_sort_by("query", "doc_id")).to_series().to_numpy()
    return scored[order], np.concatenate(products)[order]


def _sparse_part(scored: pl.DataFrame, candidates: pl.DataFrame, scale_Q: Doubles, offset_Q: Doubles) -> Doubles:
    """Return the share that a system without vectors has in each pair's score."""
    query_C = candidates["query"].to_numpy()
    part_C = candidates["score"].to_numpy().astype(np.float64) * scale_Q[query_C] - offset_Q[query_C]
    parts = candidates.select("query", "doc_id", pl.Series("part", part_C))
    lowest = parts.group_by("query").agg(pl.col("part").min().alias("lowest"))
    joined = scored.join(parts, on=["query", "doc_id"], how="left", maintain_order="left").join(
        lowest, on="query", how="left", maintain_order="left"
    )
    return joined.select(pl.coalesce("part", "lowest", pl.lit(0.0))).to_series().to_numpy()


def _keep_best(scored: pl.DataFrame, score_P: Doubles, top_k: int) -> pl.DataFrame:
    """Add score, rank and the pair's place among all, and keep each query's best."""
    return (
        scored.with_columns(pl.Series("score", score_P), pl.Series("pair", np.arange(len(score_P), dtype=np.int64)))
        .sort("query", "score", "doc_id", descending=[False, True, False])
        .with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("query").alias("rank"))
        .filter(pl.col("rank") <= top_k)
    )


def _tell(
    kept: pl.DataFrame,
    candidates: pl.DataFrame,
    names: list[str],
    products: Mapping[str, Doubles],
    query_ids: pl.Series,
) -> pl.DataFrame:
    """Add what each system says of the documents, and shape the table."""
    keys = ["query", "doc_id"]
    by_system = []
    for system in names:
        returned = candidates.filter(pl.col("system") == system).select(*keys, "rank", "score")
        joined = kept.select(*keys, "pair").join(returned, on=keys, how="left")
        score = pl.Series("score", products[system][joined["pair"].to_numpy()]) if system in products else "score"
        by_system.append(
            joined.with_columns(score).select(
                *keys, pl.lit(system).alias("system"), "rank", pl.col("score").cast(pl.Float32)
            )
        )
    systems = (
        pl.concat(by_system)
        .sort(*keys, "system")
        .group_by(keys, maintain_order=True)
        .agg(pl.struct("system", "rank", "score").alias("systems"))
    )
    ranked = kept.join(systems, on=keys).sort("query", "rank")
    query_id = query_ids.gather(ranked["query"]).alias("query_id")
    return ranked.select(query_id, "doc_id", "rank", pl.col("score").cast(pl.Float32), "systems")
