"""Thai has no spaces between words: put them there."""

import polars as pl
from pythainlp.tokenize import word_tokenize


def segment_thai(texts: pl.Series) -> pl.Series:
    """Lower-case texts and put one space between words.

    Args:
        texts: documents or queries; other scripts in them are cut at spaces and between letters and digits.

    Returns:
        The words of each text, punctuation too, joined by spaces.

    Source: PyThaiNLP's `newmm`: the dictionary's longest match within Thai character clusters.
    """
    words = [" ".join(word_tokenize(text, engine="newmm", keep_whitespace=False)) for text in texts.str.to_lowercase()]
    return pl.Series(texts.name, words, dtype=pl.String)
