"""Texts -> sentences, in any of the languages: what answers a question is a sentence, not a passage."""

import re

import polars as pl

_MAX_SENTENCES = 12  # of a document; in a longer one, neighbours count as one
_ENDS = re.compile(r"(?<=[.!?])\s+|(?<=[。！？।؟۔॥])\s*|\n+")


def split_sentences(text: str, *, max_sentences: int) -> list[str]:
    """Split a text after its full stops, question marks and line ends.

    A language that writes none of them (Thai) yields one sentence per line. An abbreviation may split a sentence:
    harmless, since sentences are only compared.

    Args:
        text: any string.
        max_sentences: where there are more, neighbours are joined, so that every word stays.

    Returns:
        The sentences without surrounding space, in order; a text without any words is one sentence.
    """
    found = [part.strip() for part in _ENDS.split(text) if part and part.strip()] or [text]
    if len(found) <= max_sentences:
        return found
    size = -(-len(found) // max_sentences)
    return [" ".join(found[start : start + size]) for start in range(0, len(found), size)]


def sentences_by_document(documents: pl.Series) -> dict[str, list[str]]:
    """Split each distinct document: document -> its sentences."""
    return {text: split_sentences(text, max_sentences=_MAX_SENTENCES) for text in documents.unique().sort()}
