"""Features of query and document that the fitted judge weighs. Shapes: N pairs, T texts, D vector size.

Three texts are read: the query, the document, and as reference the other documents that people judged relevant for the
query (the paper, 3.3). A document is never its own reference: it would resemble itself. A pair's features depend on its
own texts and references alone, so that each is computed once, whoever else is a candidate.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.denoise.pairs import PAIR
from tasks.models.encoder import Encoder

SCHEMA = pl.Schema(
    {
        "query_id": pl.String,
        "doc_id": pl.String,
        "cosine": pl.Float32,
        "shared_wording": pl.Float32,
        "reference_cosine": pl.Float32,
    }
)
"""cosine: of query and document; shared_wording: the share of the query's grams that the document has;
reference_cosine: of the document and the closest other relevant one, null where there is none."""

_WORD = re.compile(r"[^\s\W]+(?:\S*[^\s\W])?")
# Thai, Lao, Tibetan, Myanmar; Khmer; Japanese; Chinese
_UNSPACED = re.compile(r"[\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_LENGTH, _UNSPACED_LENGTH = 4, 2


@dataclass(frozen=True)
class Vectors:
    """Distinct texts with their unit vectors."""

    row: dict[str, int]
    vector_TD: NDArray[np.float32]

    def of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of some of the texts, [N, D]."""
        return self.vector_TD[[self.row[text] for text in texts]]


def find_features(
    pairs: pl.DataFrame,
    references: pl.DataFrame,
    encoder: Encoder,
    *,
    max_query_tokens: int,
    max_document_tokens: int,
    batch_tokens: int,
    progress: Callable[[int], None],
) -> pl.DataFrame:
    """Embed each distinct text once, and compare.

    Args:
        pairs: query_id, doc_id, query, document.
        references: query_id, document: the relevant documents of the queries.
        encoder: frozen.
        max_query_tokens: queries are cut to this.
        max_document_tokens: documents are cut to this.
        batch_tokens: tokens per batch, padding included.
        progress: is told how many pairs are newly done; embedding is all that takes time.

    Returns:
        The columns of `SCHEMA`, in the order of `pairs`.
    """
    queries, texts = sorted(set(pairs["query"])), sorted({*pairs["document"], *references["document"]})
    num_embedded = 0

    def embedded(number: int) -> None:
        nonlocal num_embedded
        before, num_embedded = num_embedded, num_embedded + number
        progress(len(pairs) * num_embedded // len(texts) - len(pairs) * before // len(texts))

    query_TD = encoder.embed(queries, role="query", max_tokens=max_query_tokens, batch_tokens=batch_tokens)
    text_TD = encoder.embed(
        texts, role="document", max_tokens=max_document_tokens, batch_tokens=batch_tokens, progress=embedded
    )
    documents = Vectors({text: number for number, text in enumerate(texts)}, text_TD)
    query_ND = Vectors({text: number for number, text in enumerate(queries)}, query_TD).of(pairs["query"].to_list())
    document_ND = documents.of(pairs["document"].to_list())
    return pairs.select(
        *PAIR,
        cosine=pl.Series((query_ND * document_ND).sum(axis=1), dtype=pl.Float32),
        shared_wording=pl.Series(_shared_wording(pairs), dtype=pl.Float32),
        reference_cosine=pl.Series(_closest_references(pairs, references, document_ND, documents), dtype=pl.Float32),
    )


def find_grams(text: str) -> set[str]:
    """Return a text's distinct character grams: they tell shared wording with inflected words and without spaces.

    A gram is 4 characters of a word with its ends, 2 where words are not spaced.
    """
    grams: set[str] = set()
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        unspaced = _UNSPACED.search(word)
        padded, length = (word, _UNSPACED_LENGTH) if unspaced else (f" {word} ", _LENGTH)
        grams.update(padded[start : start + length] for start in range(max(1, len(padded) - length + 1)))
    return grams


def share_of(wanted: set[str], given: set[str]) -> float:
    """Return how much of the wanted grams is among the given, 0..1; 0 where nothing is wanted."""
    return len(wanted & given) / max(len(wanted), 1)


def _shared_wording(pairs: pl.DataFrame) -> list[float]:
    grams = {text: find_grams(text) for name in ("query", "document") for text in pairs[name].unique()}
    return [
        share_of(grams[query], grams[document]) for query, document in pairs.select("query", "document").iter_rows()
    ]


def _closest_references(
    pairs: pl.DataFrame, references: pl.DataFrame, document_ND: NDArray[np.float32], documents: Vectors
) -> list[float | None]:
    """Return each document's cosine with the closest relevant one that is another and says something else."""
    relevant: dict[str, list[str]] = {}
    for query_id, text in references.select("query_id", "document").iter_rows():
        relevant.setdefault(query_id, []).append(text)
    cosines: list[float | None] = []
    for row, (query_id, document) in enumerate(pairs.select("query_id", "document").iter_rows()):
        others = [text for text in relevant.get(query_id, []) if text != document]
        cosines.append(float((documents.of(others) @ document_ND[row]).max()) if others else None)
    return cosines
