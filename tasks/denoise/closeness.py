"""What tuned layers say of pairs: how close a document's sentences come to the question, and to what answers it.

Shapes: N pairs of a query, T sentences of all their documents, U sentences of a reference, D vector size.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.denoise.compare import Texts
from tasks.denoise.evidence import Floats
from tasks.denoise.gather import embed_texts
from tasks.denoise.sentences import sentences_by_document
from tasks.denoise.tune import TEMPERATURE
from tasks.models.encoder import Encoder

_ANCHOR = 0.5  # share of the pool's mean that is taken off: decisions/0015


def find_closeness(
    rows: pl.DataFrame, encoder: Encoder, *, max_query_tokens: int, max_document_tokens: int, batch_tokens: int
) -> Floats:
    """Return logits of pairs, less half the mean of their query's pool, [N].

    Args:
        rows: as `gather_evidence` takes them.
        encoder: with the tuned layers put in.
        max_query_tokens: queries are cut to this.
        max_document_tokens: sentences are cut to this.
        batch_tokens: tokens per batch, padding included.

    Returns:
        In the order of `rows`: for a pair without a reference what the query says, else the mean of that and of what
        the reference says.
    """
    sentences_of = sentences_by_document(rows["document"])
    told = [sentence for one in sentences_of.values() for sentence in one]
    queries = embed_texts(encoder, rows["query"], role="query", max_tokens=max_query_tokens, batch_tokens=batch_tokens)
    sentences = embed_texts(encoder, told, role="document", max_tokens=max_document_tokens, batch_tokens=batch_tokens)
    logit_N = np.empty(len(rows), dtype=np.float32)
    for own in rows.with_row_index("row").partition_by("query_id", maintain_order=True):
        logit_N[own["row"].to_numpy()] = _of_query(own, queries, sentences, sentences_of)
    return logit_N


def _of_query(own: pl.DataFrame, queries: Texts, sentences: Texts, sentences_of: dict[str, list[str]]) -> Floats:
    documents = own["document"].to_list()
    told = [sentences_of[document] for document in documents]
    ends_N = np.cumsum([len(one) for one in told])
    starts_N = np.concatenate([[0], ends_N[:-1]])
    sentence_TD = sentences.of([sentence for one in told for sentence in one])
    cosine_T = sentence_TD @ queries.of([own["query"][0]])[0]
    in_pool = own["in_pool"].to_numpy()
    asked_N = np.logaddexp.reduceat(cosine_T / TEMPERATURE, starts_N)
    closeness_N = _anchored(asked_N, in_pool)
    answered_N, has_reference_N = np.full(len(own), -np.inf), np.zeros(len(own), dtype=bool)
    for reference in np.flatnonzero((own["relevance"].fill_null(0) > 0).to_numpy()).tolist():
        span = slice(starts_N[reference], ends_N[reference])
        others_N = np.array([document != documents[reference] for document in documents])
        found_N = _against(sentence_TD[span], cosine_T[span], sentence_TD, cosine_T, starts_N)
        answered_N[others_N] = np.maximum(answered_N, found_N)[others_N]
        has_reference_N |= others_N
    compared_N = _anchored(np.where(has_reference_N, answered_N, 0.0), in_pool & has_reference_N)
    return np.where(has_reference_N, (closeness_N + compared_N) / 2.0, closeness_N).astype(np.float32)


def _against(
    reference_UD: Floats, asked_U: Floats, sentence_TD: Floats, cosine_T: Floats, starts_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Logits of documents against one reference: its sentences count by how well they answer, as do the documents'."""
    weight_U = asked_U / TEMPERATURE
    weight_U = weight_U - np.logaddexp.reduce(weight_U)
    both_UT = (reference_UD @ sentence_TD.T + cosine_T[None]) / (2.0 * TEMPERATURE) + weight_U[:, None]
    logits: NDArray[np.float64] = np.logaddexp.reduceat(np.logaddexp.reduce(both_UT, axis=0), starts_N)
    return logits


def _anchored(logit_N: NDArray[np.floating], pool_N: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Take half of the pool's mean off: logits of two queries are not comparable, but pools are not alike either."""
    return logit_N - _ANCHOR * logit_N[pool_N].mean() if pool_N.any() else logit_N
