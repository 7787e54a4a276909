"""How well an encoder in training ranks held-out queries. Shapes: Q queries, N documents, D embedding size."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.train.plan import Key
from tasks.train.tokens import TokenTable

_DEPTH = 10
_QUERIES_AT_ONCE = 256


@dataclass(frozen=True)
class ValidationPool:
    """Held-out queries, and the documents among which theirs are to be found."""

    queries: TokenTable
    """Token ids of the queries, by (language, query_id)."""
    documents: TokenTable
    """Token ids of the pool, by (language, doc_id): every query of a language is searched among all of them."""
    qrels: Mapping[Key, Mapping[str, int]]
    """(language, query_id) -> doc_id -> relevance; a document that is not there counts 0."""


def pool_ndcg(embed: Callable[[TokenTable, Sequence[Key]], Tensor], pool: ValidationPool) -> float:
    """Return pool nDCG@10: the mean over languages of the mean over a language's queries.

    The pool holds a few candidates of each query, not the corpus, so this is higher than, and not to be compared with,
    nDCG@10 over the corpus. It orders checkpoints of one training. Queries without a relevant document count 0; equal
    scores rank by doc_id.

    Args:
        embed: texts of a table -> unit vectors, in their order.
        pool: the queries, the documents, and what is relevant.

    Raises:
        ValueError: there are no queries, or a language has no documents.
    """
    query_keys, document_keys = sorted(pool.queries.keys()), sorted(pool.documents.keys())
    languages = sorted({language for language, _ in query_keys})
    if not languages or set(languages) - {language for language, _ in document_keys}:
        raise ValueError(
            f"train: expected validation queries with documents, got {len(query_keys)} queries in {languages} and "
            f"{len(document_keys)} documents. Set train.validation_steps to 0, or hold out queries at ingest."
        )
    means = []
    for language in languages:
        queries = [key for key in query_keys if key[0] == language]
        documents = [key for key in document_keys if key[0] == language]
        ranked = _rank(embed(pool.queries, queries), embed(pool.documents, documents))
        values = [
            ndcg([pool.qrels.get(query, {}).get(documents[row][1], 0) for row in rows], pool.qrels.get(query, {}))
            for query, rows in zip(queries, ranked, strict=True)
        ]
        means.append(math.fsum(values) / len(values))
    return math.fsum(means) / len(means)


def ndcg(ranked: Sequence[int], judged: Mapping[str, int]) -> float:
    """Return nDCG@10 with linear gains, as ir_measures computes it.

    Args:
        ranked: relevance of the documents, best-ranked first.
        judged: relevance of all judged documents.
    """
    ideal = _gain(sorted(judged.values(), reverse=True))
    return _gain(ranked) / ideal if ideal > 0 else 0.0


def _gain(relevances: Sequence[int]) -> float:
    return math.fsum(max(value, 0) / math.log2(rank + 2) for rank, value in enumerate(relevances[:_DEPTH]))


def _rank(query_QD: Tensor, doc_ND: Tensor) -> list[list[int]]:
    """Rows of each query's best documents; documents come ordered by id, and a stable sort keeps that among equals."""
    rows = []
    for start in range(0, len(query_QD), _QUERIES_AT_ONCE):
        score_QN = query_QD[start : start + _QUERIES_AT_ONCE] @ doc_ND.T
        rows += torch.sort(score_QN, dim=1, descending=True, stable=True).indices[:, :_DEPTH].tolist()
    return rows
