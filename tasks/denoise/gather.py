"""Pairs with texts -> their evidence: embeds each text once, then compares query by query."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from tasks.denoise.compare import Texts, compare_query
from tasks.denoise.evidence import Evidence, join_evidence
from tasks.denoise.sentences import sentences_by_document
from tasks.models.encoder import Encoder
from tasks.models.layout import Role


def gather_evidence(
    rows: pl.DataFrame,
    encoder: Encoder,
    *,
    max_query_tokens: int,
    max_document_tokens: int,
    batch_tokens: int,
    progress: Callable[[int], None],
) -> Evidence:
    """Find the evidence of pairs.

    Args:
        rows: query_id, doc_id, query, document, relevance (null = not judged), in_pool (whether the pair belongs to the
            pool that a query's features are relative to: its candidates and judged documents). All pairs of a query
            are given together: what is found for a pair depends on them, and on no other query.
        encoder: frozen.
        max_query_tokens: queries are cut to this.
        max_document_tokens: documents and sentences are cut to this.
        batch_tokens: tokens per batch, padding included.
        progress: called with the number of pairs done since its last call.

    Returns:
        The evidence, in the order of `rows`.
    """
    sentences_of = sentences_by_document(rows["document"])
    limits = {"batch_tokens": batch_tokens}
    queries = embed_texts(encoder, rows["query"], role="query", max_tokens=max_query_tokens, **limits)
    all_sentences = [sentence for one in sentences_of.values() for sentence in one]
    texts = embed_texts(
        encoder, [*sentences_of, *all_sentences], role="document", max_tokens=max_document_tokens, **limits
    )
    parts, places = [], []
    numbered = rows.with_row_index("row")
    for own in numbered.partition_by("query_id", maintain_order=True):
        parts.append(compare_query(own, queries, texts, sentences_of))
        places.append(own["row"].to_numpy())
        progress(len(own))
    order = np.argsort(np.concatenate(places), kind="stable")
    return join_evidence(parts).take(order)


def embed_texts(
    encoder: Encoder, texts: Sequence[str] | pl.Series, *, role: Role, max_tokens: int, batch_tokens: int
) -> Texts:
    """Embed each distinct text once; arguments as `Encoder.embed`'s."""
    distinct = sorted(set(texts))
    vectors = encoder.embed(distinct, role=role, max_tokens=max_tokens, batch_tokens=batch_tokens)
    return Texts({text: number for number, text in enumerate(distinct)}, vectors)
