"""How much of the exact search an approximate one finds, on a sample of the queries."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from tasks.retrieve.approximate import Shards, search_approximately
from tasks.retrieve.products import TopProducts
from tasks.retrieve.search import search_shards


def search_with_sample(
    shards: Shards,
    batches: Iterable[pl.DataFrame],
    index: Any,
    *,
    sample: Sequence[int],
    system: str,
    depth: int,
    num_probes: int,
    num_candidates: int,
    threads: int,
    top_products: TopProducts,
    advance: Callable[[int], None],
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Search approximately, batch by batch of the queries, and exactly for a sample of them.

    Args:
        shards: gives the documents' embeddings; called twice per batch.
        batches: the queries' embeddings.
        index: from `build_index`.
        sample: positions among all queries, ascending, that are searched exactly too.
        system: name of the retriever.
        depth: documents per query, at most.
        num_probes: lists that a query looks into.
        num_candidates: documents per query that the index chooses.
        threads: blocks at a time.
        top_products: finds the best of a shard, for the exact search.
        advance: is told how many queries are done.

    Yields:
        Per batch the candidates found, and the exact ones of its sampled queries.
    """
    first = 0
    for batch in batches:
        found = search_approximately(
            shards,
            batch,
            index,
            system=system,
            depth=depth,
            num_probes=num_probes,
            num_candidates=num_candidates,
            threads=threads,
            advance=lambda done: None,
        )
        rows = [number - first for number in sample if first <= number < first + batch.height]
        exact = search_shards(
            shards() if rows else [],
            batch[rows],
            system=system,
            depth=depth,
            top_products=top_products,
            advance=lambda done: None,
        )
        yield found, exact
        first += batch.height
        advance(first)


def count_hits(found: pl.DataFrame, exact: pl.DataFrame) -> int:
    """Count the exact candidates that were found too; over `exact.height` it is the recall."""
    return exact.join(found, on=["query_id", "doc_id"], how="semi").height


def spread(number: int, wanted: int) -> list[int]:
    """Choose `wanted` of the positions 0..number-1, at equal distances; all of them where there are fewer."""
    return sorted({position * number // wanted for position in range(wanted)}) if number else []
