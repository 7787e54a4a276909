"""One query's documents, compared with the query and with what people judged relevant for it: features of pairs.

Three texts are read: the query, the document, and as reference the other documents that people judged relevant for the
query (METHOD 3.3). A document is never its own reference: it would resemble itself, and teach the judge just that.
Sentences are compared, since what answers is a sentence. Much of a query's and its candidates' vectors says what they
all speak of; *centred* vectors have that direction taken out: what is left is what is asked, and what is said about it.

Shapes: N pairs of the query, T sentences of all its documents, U sentences of a reference, F features, G grams,
D vector size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from tasks.denoise.evidence import Evidence, Floats
from tasks.denoise.overlap import count_grams, share_of, without

OWN = ("cosine", "best_sentence", "mean_sentence", "best_shared", "shared", "best_centred")
"""Features of query and document; after them the same, relative to the query's pool."""
REFERENCE = (
    "reference_cosine",
    "same_answer",
    "same_answer_to_query",
    "same_words",
    "same_words_with_query",
    "all_same_words",
)
"""Features of query, document and reference, 0 without one; after them the same, relative to the query's pool."""

_MOST_ASKED = 6  # sentences of a document whose vectors are kept: those closest to what is asked
_SHARPNESS = 50.0  # of the choice of the reference's sentence that answers: cosines of e5 lie close together
_TINY = 1e-9


@dataclass(frozen=True)
class Texts:
    """Distinct texts with their vectors."""

    place: dict[str, int]
    vectors: Floats

    def of(self, texts: Sequence[str]) -> Floats:
        """Return the vectors of some of the texts, [N, D]."""
        return self.vectors[[self.place[text] for text in texts]]


def compare_query(own: pl.DataFrame, queries: Texts, texts: Texts, sentences_of: dict[str, list[str]]) -> Evidence:
    """Find the evidence of one query's pairs.

    Args:
        own: query, document, relevance (null = not judged), in_pool; one query's rows.
        queries: vectors of queries.
        texts: vectors of documents and sentences.
        sentences_of: document -> its sentences.

    Returns:
        The evidence, in the order of `own`.
    """
    query, documents = own["query"][0], own["document"].to_list()
    told = [sentences_of[document] for document in documents]
    size = np.array([len(one) for one in told])
    ends = np.cumsum(size)
    sentences = [sentence for one in told for sentence in one]
    query_D, document_ND, sentence_TD = queries.of([query])[0], texts.of(documents), texts.of(sentences)
    in_pool = own["in_pool"].to_numpy()
    topic_D = _unit(sentence_TD[np.repeat(in_pool, size)].mean(axis=0, keepdims=True))[0]
    centred_D, centred_TD = _centre(query_D[None], topic_D)[0], _centre(sentence_TD, topic_D)

    gram_TG = count_grams([query, *sentences, *documents])
    query_1G, sentence_TG, document_NG = gram_TG[:1], gram_TG[1 : 1 + len(sentences)], gram_TG[1 + len(sentences) :]
    cosine_T, covered_T = sentence_TD @ query_D, share_of(query_1G, sentence_TG)[0]
    asked_T = centred_TD @ centred_D
    spans = [slice(end - length, end) for end, length in zip(ends, size, strict=True)]
    own_NF = np.stack(
        [
            document_ND @ query_D,
            _best(cosine_T, spans),
            np.array([cosine_T[span].mean() for span in spans]),
            _best(covered_T, spans),
            share_of(query_1G, document_NG)[0],
            _best(asked_T, spans),
        ],
        axis=1,
    )
    relevant = (own["relevance"].fill_null(0) > 0).to_numpy()
    answer_TG, answer_NG = without(sentence_TG, query_1G), without(document_NG, query_1G)
    reference_NF = np.zeros((len(own), len(REFERENCE)), dtype=np.float32)
    has_reference = np.zeros(len(own), dtype=bool)
    for reference in np.flatnonzero(relevant).tolist():
        found_NF = _against(reference, spans, document_ND, sentence_TD, cosine_T, covered_T, answer_TG, answer_NG)
        others = np.array([document != documents[reference] for document in documents])
        better = np.where(has_reference[:, None], np.maximum(reference_NF, found_NF), found_NF)
        reference_NF[others] = better[others]
        has_reference |= others
    num_kept = np.minimum(size, _MOST_ASKED)
    padded_NSD = np.zeros((len(own), int(num_kept.max()), len(query_D)), dtype=np.float16)
    for row, span in enumerate(spans):
        closest = np.argsort(-asked_T[span], kind="stable")[: num_kept[row]]
        padded_NSD[row, : num_kept[row]] = centred_TD[span][closest]
    return Evidence(
        _relative(own_NF, in_pool),
        np.where(has_reference[:, None], _relative(reference_NF, in_pool & has_reference), 0.0).astype(np.float32),
        has_reference,
        np.repeat(centred_D[None], len(own), axis=0),
        padded_NSD,
        num_kept,
    )


def _against(
    reference: int,
    spans: list[slice],
    document_ND: Floats,
    sentence_TD: Floats,
    cosine_T: Floats,
    covered_T: Floats,
    answer_TG: sparse.csr_matrix,
    answer_NG: sparse.csr_matrix,
) -> Floats:
    """Compare every document with one reference; its sentences count by how well they fit the query."""
    told = spans[reference]
    weight_U = np.exp(_SHARPNESS * (cosine_T[told] - cosine_T[told].max()))
    weight_U /= weight_U.sum()
    alike_UT = sentence_TD[told] @ sentence_TD.T
    same_UT = share_of(answer_TG[told], answer_TG)
    both_UT = np.sqrt(same_UT * covered_T[None])
    return np.stack(
        [
            document_ND @ document_ND[reference],
            _weighed(alike_UT, weight_U, spans),
            _weighed(alike_UT + cosine_T[None], weight_U, spans) / 2.0,
            _weighed(same_UT, weight_U, spans),
            _weighed(both_UT, weight_U, spans),
            share_of(answer_NG[reference : reference + 1], answer_NG)[0],
        ],
        axis=1,
    ).astype(np.float32)


def _weighed(value_UT: Floats, weight_U: Floats, spans: list[slice]) -> Floats:
    """The best of each document's sentences for each of the reference's, averaged by weight."""
    return np.array([weight_U @ value_UT[:, span].max(axis=1) for span in spans], dtype=np.float32)


def _best(value_T: Floats, spans: list[slice]) -> Floats:
    return np.array([value_T[span].max() for span in spans], dtype=np.float32)


def _relative(value_NF: Floats, in_pool_N: NDArray[np.bool_]) -> Floats:
    """The features, and beside them what is above or below the pool's mean."""
    mean_F = value_NF[in_pool_N].mean(axis=0) if in_pool_N.any() else np.zeros(value_NF.shape[1])
    return np.concatenate([value_NF, value_NF - mean_F], axis=1).astype(np.float32)


def _centre(vector_ND: Floats, direction_D: Floats) -> Floats:
    return _unit(vector_ND - (vector_ND @ direction_D)[:, None] * direction_D)


def _unit(vector_ND: Floats) -> Floats:
    length_N1 = np.maximum(np.linalg.norm(vector_ND, axis=1, keepdims=True), _TINY)
    unit_ND: Floats = (vector_ND / length_N1).astype(np.float32)
    return unit_ND
