"""Shared wording of texts, in character grams: works without a word list, with inflected words and without spaces.

Shapes: N texts, M others, G grams.
"""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_WORD = re.compile(r"[^\s\W]+(?:\S*[^\s\W])?")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")  # Thai, Japanese, Chinese
_LENGTH, _UNSPACED_LENGTH = 4, 2


def find_grams(text: str) -> set[str]:
    """Return the distinct grams of a text: 4 characters of a word with its ends, 2 where words are not spaced."""
    grams: set[str] = set()
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        unspaced = _UNSPACED.search(word)
        padded, length = (word, _UNSPACED_LENGTH) if unspaced else (f" {word} ", _LENGTH)
        grams.update(padded[start : start + length] for start in range(max(1, len(padded) - length + 1)))
    return grams


def count_grams(texts: Sequence[str]) -> sparse.csr_matrix:
    """Return which text has which gram, [N, G] of 0 and 1; columns in the order of the sorted grams."""
    found = [find_grams(text) for text in texts]
    column = {gram: number for number, gram in enumerate(sorted(set().union(*found)))}
    rows = [row for row, grams in enumerate(found) for _ in grams]
    columns = [column[gram] for grams in found for gram in sorted(grams)]
    ones = np.ones(len(rows), dtype=np.float32)
    return sparse.csr_matrix((ones, (rows, columns)), shape=(len(texts), len(column)))


def share_of(wanted_NG: sparse.csr_matrix, given_MG: sparse.csr_matrix) -> NDArray[np.float32]:
    """Return how much of each wanted text's grams each given text has: [N, M], 0..1; 0 where nothing is wanted."""
    shared_NM = np.asarray((wanted_NG @ given_MG.T).todense(), dtype=np.float32)
    size_N = np.asarray(wanted_NG.sum(axis=1), dtype=np.float32).ravel()
    shares: NDArray[np.float32] = (shared_NM / np.maximum(size_N, 1.0)[:, None]).astype(np.float32)
    return shares


def without(texts_NG: sparse.csr_matrix, other_1G: sparse.csr_matrix) -> sparse.csr_matrix:
    """Take the grams of one text out of others: what an answer adds to its question."""
    return texts_NG - texts_NG.multiply(other_1G).tocsr()
